//! The four rows of Montage AI's table, built for real, and what `stats` then says of them: held against the wall times measured around
//! the process, and against a real build without cache.
//!
//! It takes minutes and is run by `just slow`, where `LAYERTOP_TEST_ENGINE_UP` is set. What it compares are times of the same builds, so
//! that a busy machine does not matter much.
#![expect(clippy::disallowed_methods, reason = "it reads the time to say what it has measured")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::process::{Project, run};
use crate::support::testbed::{BUILDER, Engine, For};

/// The stack of the strategy; each step takes the time that it would take, scaled down, and leaves some bytes.
const DOCKERFILE: &str = "FROM BASE
WORKDIR /app/MARKER
RUN sleep 2 && echo apt-get install -y ffmpeg libvulkan1 MARKER > /ffmpeg
RUN sleep 1 && echo npm install -g cgpu > /node
RUN sleep 4 && echo conda install -y librosa numba > /conda && head -c 3000000 /dev/urandom > /conda.so
COPY requirements.txt .
RUN sleep 4 && echo pip install -r requirements.txt > /pip && head -c 2000000 /dev/urandom > /pip.so
RUN sleep 1 && echo real-esrgan > /esrgan
COPY pyproject.toml .
RUN sleep 1 && echo pip install -e . > /editable
COPY src/ src/
RUN sleep 1 && cat src/main.py > /out
";

/// How often each of the scenarios is built that can be.
const TIMES: usize = 3;

struct Bench {
    project: Project,
    /// Wall times around the process, by the name of the scenario.
    walls: BTreeMap<String, Vec<Duration>>,
}

impl Bench {
    fn build(&mut self, name: &str, words: &[&str]) {
        let begun = Instant::now();
        let words = [&["build", "--progress", "quiet"], words].concat();
        let ended = run(&mut self.project.layertop(&words));
        let took = begun.elapsed();
        assert_eq!(ended.code(), Some(0), "{name}: {}", ended.stderr);
        println!("{name}: {:.2} s around the process", took.as_secs_f64());
        self.walls.entry(name.to_owned()).or_default().push(took);
    }

    fn json(&self, words: &[&str]) -> Value {
        let ended = run(&mut self.project.layertop(words));
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    fn median(&self, name: &str) -> f64 {
        let mut walls = self.walls[name].clone();
        walls.sort();
        walls[walls.len() / 2].as_secs_f64() * 1000.0
    }
}

/// How far apart two figures are, as a share of the second.
fn apart(one: f64, other: f64) -> f64 {
    (one - other).abs() / other
}

#[test]
#[ignore = "minutes of builds: `just slow`"]
fn stats_says_what_the_builds_took() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(DOCKERFILE);
    let name = format!("layertop-test/scenarios-{}", project.marker);
    project.write(
        "layertop.toml",
        &format!(
            "profile = \"montage-ai\"\n[image]\nregistry = \"{}\"\nname = \"{name}\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [build]\nbuilder = \"{BUILDER}\"\npush = true\ncache = \"cache\"\n",
            engine.registry
        ),
    );
    for (file, text) in
        [("requirements.txt", "numpy==1\n"), ("pyproject.toml", "[project]\n"), ("src/main.py", "0\n")]
    {
        project.write(file, text);
    }
    let mut bench = Bench { project, walls: BTreeMap::new() };
    bench.build("first build", &[]);
    for nth in 1..=TIMES {
        bench.build("no changes", &[]);
        bench.project.write("src/main.py", &format!("{nth}\n"));
        bench.build("code change only", &[]);
        bench.project.write("requirements.txt", &format!("numpy=={nth}.1\n"));
        bench.build("requirements change", &[]);
    }
    bench.build("no cache", &["--", "--no-cache"]);

    let stats = bench.json(&["stats", "--progress", "json"]);
    println!("{}", run(&mut bench.project.layertop(&["stats"])).stdout);
    let scenarios = stats["scenarios"].as_array().unwrap();
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario["name"].as_str().unwrap()).collect();
    let expected = ["first build", "code change only", "requirements change", "no changes", "no cache"];
    assert_eq!(names, expected, "{stats:#}");
    let promised: Vec<Option<f64>> = scenarios.iter().map(|scenario| scenario["promised"].as_f64()).collect();
    assert_eq!(promised, [Some(1.0), Some(7.5), Some(1.9), Some(30.0), None]);
    let real = bench.median("no cache");
    for scenario in scenarios {
        let name = scenario["name"].as_str().unwrap();
        assert_eq!(scenario["builds"], bench.walls[name].len(), "{name}");
        let (told, measured) = (scenario["median_ms"].as_f64().unwrap(), bench.median(name));
        let off = apart(told, measured);
        println!("{name}: median {told:.0} ms, measured {measured:.0} ms: {:.1} % off", off * 100.0);
        assert!(off <= 0.05, "{name}: {told} ms, and {measured} ms around the process");
        let estimate = scenario["no_cache_ms"].as_f64().unwrap_or_else(|| panic!("{name}: {stats:#}"));
        let off = apart(estimate, real);
        println!("{name}: {estimate:.0} ms without cache, really {real:.0} ms: {:.1} % off", off * 100.0);
        assert!(off <= 0.15, "{name}: {estimate} ms without cache, and really {real} ms");
    }
    let history = bench.json(&["history", "--progress", "json", "--limit", "0"]);
    assert_eq!(history["builds"].as_array().unwrap().len(), 2 + 3 * TIMES);
    let failed = |build: &&Value| build["result"] != "success";
    assert_eq!(history["builds"].as_array().unwrap().iter().filter(failed).count(), 0);
}
