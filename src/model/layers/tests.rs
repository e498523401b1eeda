use rstest::rstest;

use super::*;

/// One step after a `FROM`, without rules.
fn name(instruction: &str) -> String {
    let names = LayerNamer::default().names(&["FROM x", instruction]);
    names[1].as_ref().map_or("-", Text::as_str).to_owned()
}

#[rstest]
// System packages.
#[case(
    "RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg vulkan-tools",
    "system packages"
)]
#[case(
    "RUN apt-get update && apt-get install -y ffmpeg && curl -fsSLO https://x.org/a.deb",
    "system packages"
)]
#[case("RUN apk add --no-cache ca-certificates", "system packages")]
#[case("RUN dnf -y install gcc && dnf clean all", "system packages")]
#[case("RUN microdnf install -y tar", "system packages")]
#[case("RUN zypper --non-interactive in git", "system packages")]
#[case("RUN pacman -Syu --noconfirm base-devel", "system packages")]
#[case("RUN sudo -E apt install -y jq", "system packages")]
#[case("RUN DEBIAN_FRONTEND=noninteractive apt-get -qq install tzdata", "system packages")]
#[case(
    "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked apt-get install -y gcc",
    "system packages"
)]
#[case("RUN apt-get install -y ffmpeg && npm --version && pip --version", "system packages")]
#[case("RUN apt-get install -y python3-pip && pip install --upgrade pip setuptools", "system packages")]
#[case("RUN if [ -f x ]; then apt-get install -y x; fi", "system packages")]
#[case("RUN [\"apt-get\", \"install\", \"-y\", \"curl\"]", "system packages")]
#[case("RUN [\"/bin/bash\", \"-lc\", \"apt-get update; apt-get install -y curl\"]", "system packages")]
#[case("RUN (apt-get update || true) && yes | apt-get install curl", "system packages")]
#[case("RUN <<EOF (set -eux...)\nset -eux\napt-get update\napt-get install -y jq\n", "system packages")]
#[case("RUN apt-get -o Acquire::Retries=3 install -y jq && npm --version", "system packages")]
#[case("RUN apt-get install -y gcc && pip --cache-dir /c install numpy", "pip")]
// Node.
#[case("RUN npm install -g cgpu", "node")]
#[case("RUN npm ci --omit=dev", "node")]
#[case("RUN npm --prefix web run build", "node")]
#[case("RUN yarn --frozen-lockfile", "node")]
#[case("RUN corepack enable && pnpm install --frozen-lockfile", "node")]
#[case("RUN curl -fsSL https://deb.nodesource.com/setup_20.x | bash - && apt-get install -y nodejs", "node")]
#[case("RUN bun install", "node")]
#[case("RUN bash -c 'source ~/.nvm/nvm.sh && nvm install 20'", "node")]
// Conda.
#[case("RUN conda install -y python=3.11 librosa numba && conda clean -afy", "conda")]
#[case("RUN mamba env create -f environment.yml", "conda")]
#[case("RUN micromamba install -y -n base -f /tmp/env.yaml", "conda")]
#[case(
    "RUN wget -q https://repo.anaconda.com/miniconda/Miniconda3-latest-Linux-x86_64.sh -O /tmp/m.sh",
    "conda"
)]
#[case("RUN conda install -y numpy && pip install x", "conda")]
// pip.
#[case("RUN pip install -r requirements.txt", "pip")]
#[case(
    "RUN --mount=type=cache,target=/root/.cache/pip pip install --no-cache-dir -r requirements.txt",
    "pip"
)]
#[case("RUN python -m pip install wheel numpy", "pip")]
#[case("RUN /usr/bin/pip3.11 install torch", "pip")]
#[case("RUN PIP_NO_CACHE_DIR=1 pip3 install torch", "pip")]
#[case("RUN conda run -n base --no-capture-output pip install torch", "pip")]
#[case("RUN apt-get update && apt-get install -y gcc && pip install -r r.txt && apt-get purge -y gcc", "pip")]
#[case("RUN uv sync --frozen --no-dev", "pip")]
#[case("RUN uv pip install --system -r requirements.txt", "pip")]
#[case("RUN poetry install --only main", "pip")]
#[case("RUN pipenv install --deploy", "pip")]
#[case("RUN pip install -r requirements.txt -e .", "pip")]
#[case("RUN python setup.py install", "pip")]
// Editable installs.
#[case("RUN pip install -e .", "editable install")]
#[case("RUN pip install --no-deps --editable '.[all]'", "editable install")]
#[case("RUN uv pip install -e .", "editable install")]
#[case("RUN python setup.py develop", "editable install")]
#[case("RUN /opt/venv/bin/python3 -m pip install --no-build-isolation -e.", "editable install")]
// Downloads.
#[case("RUN curl -fsSL https://x.org/a.tar.gz | tar -xz -C /opt", "downloaded binary")]
#[case("RUN wget -O /x.zip https://x.org/x.zip && unzip /x.zip", "downloaded binary")]
#[case("RUN set -eux; url=$(curl -s https://x.org/latest); echo $url", "downloaded binary")]
#[case("ADD https://x.org/tool /usr/bin/tool", "downloaded binary")]
#[case("ADD --checksum=sha256:24454f830c https://x.org/a.tgz /", "downloaded binary")]
#[case("ADD rootfs.tar.xz /", "downloaded binary")]
#[case("RUN tar xf /tmp/a.tar", "downloaded binary")]
// Other languages and builds.
#[case("RUN cargo build --release --locked", "rust")]
#[case("RUN curl https://sh.rustup.rs -sSf | sh -s -- -y", "rust")]
#[case("RUN CGO_ENABLED=0 GOOS=linux go build -o /out ./cmd/x", "go")]
#[case("RUN go mod download", "go")]
#[case("RUN mvn -B package -DskipTests", "java")]
#[case("RUN ./gradlew --no-daemon build", "java")]
#[case("RUN bundle install --jobs 4", "ruby")]
#[case("RUN composer install --no-dev", "php")]
#[case("RUN dotnet publish -c Release -o /app", "dotnet")]
#[case("RUN apt-get install -y cmake && cmake -B b && make -C b install", "build")]
#[case("RUN ./configure --prefix=/usr && make -j\"$(nproc)\" && make install", "build")]
// Sources, and what is copied from elsewhere.
#[case("COPY . .", "source")]
#[case("COPY --chown=app:app src/ src/", "source")]
#[case("COPY [\"a b\", \"/app\"]", "source")]
#[case("COPY requirements.txt src/ /app/", "source")]
#[case("ADD https://github.com/a/b.git#main /src", "source")]
#[case("RUN git clone https://github.com/a/b.git", "source")]
#[case("COPY --from=builder /out/app /app", "from builder")]
#[case("COPY --link --from=0 /x /y", "from 0")]
#[case("COPY --from=ghcr.io/astral-sh/uv:0.5@sha256:ab /uv /bin/", "from uv")]
// Manifests without a step that reads them.
#[case("COPY requirements.txt .", "pip")]
#[case("COPY ./requirements-dev.txt requirements/ ./", "pip")]
#[case("COPY pyproject.toml uv.lock README.md ./", "pip")]
#[case("COPY package.json package-lock.json* ./", "node")]
#[case("COPY package*.json ./", "node")]
#[case("COPY environment.yml .", "conda")]
#[case("COPY Cargo.toml Cargo.lock ./", "rust")]
#[case("COPY go.mod go.sum ./", "go")]
#[case("COPY go.* ./", "go")]
#[case("COPY Gemfile Gemfile.lock ./", "ruby")]
#[case("COPY pom.xml .", "java")]
#[case("COPY composer.json composer.lock ./", "php")]
#[case("COPY src/App/*.csproj src/App/", "dotnet")]
#[case("COPY Makefile .", "build")]
// What says nothing, and words that only look like a tool.
#[case("RUN echo hello", "-")]
#[case("RUN echo pip install x", "-")]
#[case("RUN mkdir -p /opt/conda /usr/share/npm", "-")]
#[case("RUN cp pip.conf /etc && chmod +x /usr/bin/curl", "-")]
#[case("RUN useradd -m app", "-")]
#[case("RUN", "-")]
#[case("RUN '", "-")]
#[case("", "-")]
#[case("HEALTHCHECK NONE", "-")]
// Triggers and joins.
#[case("ONBUILD RUN npm ci", "node")]
#[case("WORKDIR /app", "base image")]
fn names_what_a_step_does(#[case] instruction: &str, #[case] expected: &str) {
    assert_eq!(name(instruction), expected);
}

fn named(rules: &[(&str, &str)], instructions: &[&str]) -> Vec<String> {
    let rules: Vec<LayerRule> = rules
        .iter()
        .map(|(name, pattern)| LayerRule { name: (*name).into(), pattern: (*pattern).into() })
        .collect();
    let (namer, refused) = LayerNamer::new(&rules);
    assert_eq!(refused, Vec::<String>::new());
    let layers = namer.names(instructions).into_iter();
    layers.map(|name| name.map_or_else(|| "-".to_owned(), |name| name.as_str().to_owned())).collect()
}

#[test]
fn manifests_belong_to_what_reads_them() {
    let names = named(
        &[],
        &[
            "FROM python:3.12",
            "COPY pyproject.toml .",
            "COPY package.json .",
            "RUN pip install -e .",
            "WORKDIR /web",
            "RUN npm ci",
            "COPY pyproject.toml poetry.lock ./",
            "RUN poetry install",
            "COPY . .",
        ],
    );
    let expected = [
        "base image",
        "editable install",
        "node",
        "editable install",
        "editable install",
        "node",
        "pip",
        "pip",
        "source",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_manifest_takes_the_layer_that_a_rule_gives_to_the_next_step() {
    let steps =
        ["FROM x", "COPY requirements.txt .", "COPY constraints.txt .", "RUN ./install-deps", "COPY a b"];
    let names = named(&[("python deps", "install-deps")], &steps);
    assert_eq!(names, ["base image", "python deps", "python deps", "python deps", "source"]);
    // Sources are no manifest: they stay what they are.
    let names = named(&[("deps", "install-deps")], &["COPY tools/ .", "RUN ./install-deps"]);
    assert_eq!(names, ["source", "deps"]);
}

#[test]
fn the_first_rule_that_finds_its_pattern_wins_in_any_case() {
    let names = named(
        &[("first", "APT-get"), ("second", "ffmpeg")],
        &["RUN apt-get install FFmpeg", "RUN ffmpeg -i x"],
    );
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn rules_that_cannot_be_read_are_left_out_and_told() {
    let rule = |name: &str, pattern: &str| LayerRule { name: name.into(), pattern: pattern.into() };
    let (namer, refused) = LayerNamer::new(&[rule("bad", "a("), rule("good", "echo")]);
    assert_eq!(
        refused,
        ["layer `bad` is left out: its pattern `a(` is no regular expression: unclosed group"]
    );
    assert_eq!(namer.names(&["RUN echo"]), [Some("good".into())]);
}

/// The bundled profile for Montage AI, and the stack of its caching strategy.
#[test]
fn the_montage_ai_profile_names_the_stack_of_its_strategy() {
    let rules = [
        ("miniconda", r"^FROM .*miniconda"),
        ("ffmpeg", r"apt-get.*(ffmpeg|vulkan)"),
        ("node", r"nodesource|nodejs|\bnpm\b"),
        ("conda", r"\b(conda|mamba) (install|env)\b"),
        ("editable install", r"pyproject\.toml|pip3? install .*(-e|--editable)\b"),
        ("pip", r"requirements.*\.txt|\bpip3? install\b"),
        ("Real-ESRGAN", r"realesrgan|real-esrgan"),
        ("src", r"^COPY .*\bsrc/"),
    ];
    let steps = [
        "FROM continuumio/miniconda3:latest",
        "WORKDIR /app",
        "RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg libvulkan1 vulkan-tools",
        "RUN curl -fsSL https://deb.nodesource.com/setup_20.x | bash - && apt-get install -y nodejs && npm install -g cgpu",
        "RUN conda install -y -c conda-forge python=3.11 librosa numba && conda clean -afy",
        "COPY requirements.txt .",
        "RUN pip install --no-cache-dir -r requirements.txt",
        "RUN curl -fsSLO https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/realesrgan-ncnn-vulkan.zip",
        "COPY pyproject.toml .",
        "RUN pip install --no-deps -e .",
        "COPY src/ src/",
    ];
    let by_rule = [
        "miniconda",
        "miniconda",
        "ffmpeg",
        "node",
        "conda",
        "pip",
        "pip",
        "Real-ESRGAN",
        "editable install",
        "editable install",
        "src",
    ];
    assert_eq!(named(&rules, &steps), by_rule);
    // The same stack without a profile.
    let derived = [
        "base image",
        "base image",
        "system packages",
        "node",
        "conda",
        "pip",
        "pip",
        "downloaded binary",
        "editable install",
        "editable install",
        "source",
    ];
    assert_eq!(named(&[], &steps), derived);
}

proptest::proptest! {
    #[test]
    fn any_steps_get_a_name_or_none(texts in proptest::collection::vec("(RUN |COPY |ADD |FROM )?\\PC{0,40}", 0..8)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        proptest::prop_assert_eq!(LayerNamer::default().names(&texts).len(), texts.len());
    }
}
