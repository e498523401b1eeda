//! Metrics, read as OpenMetrics, and by the node exporter that they are for.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::export::{demo, export, hostile, read, reader, summary};
use crate::support::process::Project;

fn write(project: &Project, build: &std::path::Path) -> std::path::PathBuf {
    let folder = project.folder().join("textfile");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("layertop.prom");
    let ended = export(project, build, &["--metrics-file", file.to_str().unwrap()]);
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
    assert!(fs::read_to_string(&file).unwrap().ends_with("\n# EOF\n"));
    file
}

fn value(families: &Value, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.as_array().unwrap().iter().find(|family| family["name"] == name).unwrap();
    let fits = |sample: &&Value| labels.iter().all(|(label, text)| sample["labels"][label] == *text);
    let found: Vec<&Value> = family["samples"].as_array().unwrap().iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {family}");
    found[0]["value"].as_f64().unwrap()
}

#[test]
fn a_reader_of_openmetrics_finds_what_the_summary_says() {
    let project = Project::new();
    let file = write(&project, &demo("requirements"));
    let Some(found) = read("openmetrics", &file) else { return };
    let near = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let value = value(&found, name, labels);
        assert!((value - expected).abs() < 1e-9, "{name} {labels:?}: {value}");
    };
    let wall = summary(&project, &demo("requirements"))["wall_ms"].as_f64().unwrap() / 1000.0;
    near("layertop_build_duration_seconds", &[("image", "127.0.0.1:5055/montage-ai")], wall);
    near("layertop_build_info", &[("tag", "my-feature"), ("result", "success")], 1.0);
    near("layertop_build_steps", &[("platform", "linux/amd64"), ("state", "miss")], 6.0);
    // 12 of 22 rebuilt, and nothing was pulled; the summary has it to four decimals.
    near("layertop_build_hit_ratio", &[], 0.4545);
    near("layertop_build_layer_rebuilt", &[("layer", "pip"), ("platform", "linux/arm64")], 1.0);
    near("layertop_build_layer_rebuilt", &[("layer", "conda"), ("platform", "linux/arm64")], 0.0);
}

#[test]
fn hostile_names_stay_labels() {
    let project = Project::new();
    let file = write(&project, &hostile(&project));
    let Some(found) = read("openmetrics", &file) else { return };
    assert!((value(&found, "layertop_build_success", &[]) - 0.0).abs() < 1e-9);
}

/// Prometheus' node exporter has the metrics in what it serves, and finds no fault with the file.
#[test]
fn the_node_exporter_serves_them() {
    let Some(program) = reader("LAYERTOP_TEST_NODE_EXPORTER") else { return };
    let project = Project::new();
    let file = write(&project, &demo("code"));
    let folder = file.parent().unwrap().to_str().unwrap().to_owned();
    let mut child = Command::new(program)
        .args(["--collector.disable-defaults", "--collector.textfile", "--web.listen-address=127.0.0.1:0"])
        .arg(format!("--collector.textfile.directory={folder}"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        if let Some(rest) = line.split("address=").nth(1).filter(|_| line.contains("Listening")) {
            break rest.split_whitespace().next().unwrap().to_owned();
        }
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(page.contains("\nnode_textfile_scrape_error 0\n"), "{page}");
    assert!(page.contains("\nlayertop_build_success{image=\"127.0.0.1:5055/montage-ai\"} 1\n"), "{page}");
}
