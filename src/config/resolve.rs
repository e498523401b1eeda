//! Files, environment and command line become one value each.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use crate::cli::{BuildOverrides, GlobalArgs};
use crate::error::{Error, Problem};
use crate::event::Platform;

use super::file::LayertopToml;
use super::validate::{self, InvalidValue, Validity};
use super::value::{ConfigValue, ValueOrigin};
use super::{
    BuildOptions, Config, ConfigFile, HealthOptions, ImageOptions, KeepOptions, KubernetesTable,
    RegistryOptions, Surroundings, UiOptions, platform, rules,
};

/// How many bytes of recordings are kept where nothing is said.
const KEEP_BYTES: u64 = 1 << 30;
const DAY: u64 = 24 * 60 * 60;
/// As `1y` is read.
const YEAR: u64 = 31_557_600;

/// The inputs of the configuration; of the files the strongest first.
pub(super) struct Resolver<'a> {
    pub(super) docs: Vec<ConfigFile>,
    pub(super) around: &'a Surroundings,
    pub(super) global: &'a GlobalArgs,
    pub(super) typed: &'a BuildOverrides,
    /// Whether the first file is the project's.
    pub(super) has_project: bool,
    /// What relative paths of the files are relative to.
    pub(super) folder: &'a Path,
}

impl Resolver<'_> {
    pub(super) fn resolve(self) -> Result<Config, Error> {
        let image = self.image()?;
        let build = self.build()?;
        let (recordings, history) = (self.recordings(), self.history());
        let ui = self.ui();
        let profile = self.file(|file| file.profile.as_ref());
        let health = HealthOptions {
            watch: self.file(|file| file.health.watch.as_ref()).unwrap_or_else(|| ConfigValue::default(true)),
        };
        let registry = self.registry();
        let kubernetes = self.kubernetes();
        let (layers, mut warnings) = rules::collect(&self.docs, profile.as_ref().map(|name| name.as_str()));
        warnings.extend(self.homeless_cache(&image));
        warnings.extend(self.unknown_platforms(&image.platforms));
        let files = self.docs.iter().map(|doc| doc.path.to_path_buf()).collect();
        let folder = self.folder.to_owned();
        let profile = option(profile);
        Ok(Config {
            folder,
            has_project: self.has_project,
            files,
            profile,
            image,
            build,
            layers,
            recordings,
            history,
            ui,
            health,
            registry,
            kubernetes,
            warnings,
        })
    }

    /// A project that asks for a cache which can't have a reference would build without one, and nobody would know.
    fn homeless_cache(&self, image: &ImageOptions) -> Option<Problem> {
        let doc = self.docs.first().filter(|_| self.has_project && image.name.is_none())?;
        let cache = doc.file.build.cache.as_ref().filter(|tag| !tag.get_ref().is_empty())?;
        let message = "the image has no name, so there is no cache to import or export".to_owned();
        Some(doc.problem(cache.span(), message, "set name in [image]".to_owned()))
    }

    /// Platforms that do not exist. They are in the way of no build: a newer `BuildKit` may know more of them.
    fn unknown_platforms(&self, platforms: &ConfigValue<Vec<Platform>>) -> Vec<Problem> {
        let in_file = |platform: &Platform| {
            let doc = self.docs.iter().find(|doc| doc.file.image.platforms.is_some())?;
            let listed = doc.file.image.platforms.as_ref()?.get_ref();
            let span = listed.iter().find(|text| text.get_ref() == platform.as_str())?.span();
            Some((doc, span))
        };
        let problem = |platform: &Platform| {
            let (message, hint) = platform::unknown(platform)?;
            Some(match &platforms.origin {
                ValueOrigin::File(..) => {
                    let (doc, span) = in_file(platform)?;
                    doc.problem(span, message, hint)
                }
                origin => Problem { file: origin.to_string().into(), place: None, message, hint: Some(hint) },
            })
        };
        platforms.iter().filter_map(problem).collect()
    }

    /// The first file that has the key.
    fn file<T: Clone>(&self, get: impl Fn(&LayertopToml) -> Option<&Spanned<T>>) -> Option<ConfigValue<T>> {
        self.docs.iter().find_map(|doc| {
            let found = get(&doc.file)?;
            Some(ConfigValue { value: found.get_ref().clone(), origin: doc.origin(&found.span()) })
        })
    }

    /// What stands on the command line, else in the environment. An empty variable is one that is not set, as in `${REGISTRY:-…}`.
    fn typed<T>(
        &self,
        option: (&'static str, Option<&String>),
        variable: Option<&'static str>,
        read: impl Fn(&str) -> Validity<T>,
    ) -> Result<Option<ConfigValue<T>>, Error> {
        let from_env = variable.and_then(|name| Some((name, self.around.env.get(name)?)));
        let (text, origin, place) = match (option, from_env) {
            ((name, Some(text)), _) => (text, ValueOrigin::Option(name), name.to_owned()),
            (_, Some((name, text))) if !text.trim().is_empty() => {
                (text, ValueOrigin::Environment(name), format!("environment {name}"))
            }
            _ => return Ok(None),
        };
        match read(text.trim()) {
            Ok(value) => Ok(Some(ConfigValue { value, origin })),
            Err(InvalidValue { message, hint }) => Err(Error::usage(format!("{place}: {message}"), hint)),
        }
    }

    fn image(&self) -> Result<ImageOptions, Error> {
        let typed = self.typed;
        let text = |check: fn(&str) -> Validity| move |text: &str| check(text).map(|()| text.to_owned());
        let registry =
            self.typed(("--registry", typed.registry.as_ref()), Some("REGISTRY"), text(validate::registry))?;
        let tag = self.typed(("--tag", typed.tag.as_ref()), Some("TAG"), text(validate::tag))?;
        let platforms =
            self.typed(("--platform", typed.platform.as_ref()), Some("PLATFORMS"), validate::platforms)?;
        let listed = || {
            let listed = self.file(|file| file.image.platforms.as_ref())?;
            let read = |list: Vec<Spanned<String>>| {
                list.iter().filter_map(|text| validate::platform(text.get_ref()).ok()).collect()
            };
            Some(listed.map(read))
        };
        Ok(ImageOptions {
            registry: option(registry.or_else(|| self.file(|file| file.image.registry.as_ref()))),
            name: option(self.file(|file| file.image.name.as_ref())),
            tag: tag
                .or_else(|| self.file(|file| file.image.tag.as_ref()))
                .unwrap_or_else(|| ConfigValue::default("latest".to_owned())),
            platforms: platforms.or_else(listed).unwrap_or_else(|| ConfigValue::default(Vec::new())),
        })
    }

    fn build(&self) -> Result<BuildOptions, Error> {
        let typed = self.typed;
        let word = |text: &str| validate::word(text).map(|()| text.to_owned());
        let builder = self.typed(("--builder", typed.builder.as_ref()), None, word)?;
        let target = self.typed(("--target", typed.target.as_ref()), None, word)?;
        let dockerfile = self.typed(("--file", typed.file.as_ref()), None, word)?;
        let context = self.file(|file| file.build.context.as_ref());
        let context = context.unwrap_or_else(|| ConfigValue::default(".".to_owned()));
        // The Dockerfile of a remote context lies in that context, not in the project's folder.
        let remote = is_remote(&context);
        let own_file = self.file(|file| file.build.dockerfile.as_ref());
        let own_file = own_file.map(|file| if remote { file } else { file.map(|path| self.path(path)) });
        let cache = self.file(|file| file.build.cache.as_ref()).filter(|tag| !tag.is_empty());
        let extra = self
            .file(|file| file.build.extra.as_ref())
            .map(|list| list.map(|list| list.into_iter().map(Spanned::into_inner).collect()));
        Ok(BuildOptions {
            builder: option(builder.or_else(|| self.file(|file| file.build.builder.as_ref()))),
            context: context.map(|path| self.path(path)),
            dockerfile: option(dockerfile.or(own_file)),
            target: option(target.or_else(|| self.file(|file| file.build.target.as_ref()))),
            args: self.args(),
            cache: option(cache),
            push: self.file(|file| file.build.push.as_ref()).unwrap_or_else(|| ConfigValue::default(false)),
            extra: extra.unwrap_or_else(|| ConfigValue::default(Vec::new())),
        })
    }

    /// Build arguments are merged name by name.
    fn args(&self) -> BTreeMap<String, ConfigValue<String>> {
        let mut args = BTreeMap::new();
        for doc in self.docs.iter().rev() {
            for (name, value) in &doc.file.build.args {
                let origin = doc.origin(&value.span());
                args.insert(name.get_ref().clone(), ConfigValue { value: value.get_ref().0.clone(), origin });
            }
        }
        args
    }

    fn recordings(&self) -> KeepOptions {
        let keep_for = self.file(|file| file.recordings.keep_for.as_ref());
        KeepOptions {
            keep: self.file(|file| file.recordings.keep.as_ref()).unwrap_or_else(|| ConfigValue::default(50)),
            keep_for: period(keep_for, Duration::from_secs(30 * DAY)),
            keep_bytes: self
                .file(|file| file.recordings.keep_bytes.as_ref())
                .map_or_else(|| ConfigValue::default(KEEP_BYTES), |size| size.map(|size| size.0)),
        }
    }

    fn history(&self) -> KeepOptions {
        let keep_for = self.file(|file| file.history.keep_for.as_ref());
        KeepOptions {
            keep: self
                .file(|file| file.history.keep.as_ref())
                .unwrap_or_else(|| ConfigValue::default(10_000)),
            keep_for: period(keep_for, Duration::from_secs(YEAR)),
            keep_bytes: self
                .file(|file| file.history.keep_bytes.as_ref())
                .map_or_else(|| ConfigValue::default(KEEP_BYTES / 2), |size| size.map(|size| size.0)),
        }
    }

    fn registry(&self) -> RegistryOptions {
        let duration = |get: fn(&LayertopToml) -> Option<&Spanned<String>>, otherwise: u64| {
            let text = self.file(get);
            text.and_then(|text| {
                Some(ConfigValue { value: validate::interval(&text).ok()?, origin: text.origin })
            })
            .unwrap_or_else(|| ConfigValue::default(std::time::Duration::from_millis(otherwise)))
        };
        let ca = self.file(|file| file.registry.ca.as_ref());
        RegistryOptions {
            insecure: self
                .file(|file| file.registry.insecure.as_ref())
                .unwrap_or_else(|| ConfigValue::default(false)),
            ca: option(ca.map(|path| path.map(|path| self.path(path)))),
            every: duration(|file| file.registry.every.as_ref(), 2000),
            look_every: duration(|file| file.registry.look_every.as_ref(), 10_000),
            slow: duration(|file| file.registry.slow.as_ref(), 500),
        }
    }

    fn kubernetes(&self) -> Option<KubernetesTable> {
        let found = self.docs.iter().find_map(|doc| doc.file.kubernetes.clone())?;
        let kubeconfig = found.kubeconfig.map(|path| self.path(path));
        Some(KubernetesTable { enabled: Some(found.enabled.unwrap_or(true)), kubeconfig, ..found })
    }

    fn ui(&self) -> UiOptions {
        let GlobalArgs { color, progress, ascii, .. } = *self.global;
        UiOptions {
            progress: self.choice("--progress", progress, |file| file.ui.progress.as_ref()),
            color: self.choice("--color", color, |file| file.ui.color.as_ref()),
            ascii: if ascii {
                ConfigValue { value: true, origin: ValueOrigin::Option("--ascii") }
            } else {
                self.file(|file| file.ui.ascii.as_ref()).unwrap_or_else(|| ConfigValue::default(false))
            },
        }
    }

    fn choice<T: clap::ValueEnum + Default>(
        &self,
        name: &'static str,
        typed: Option<T>,
        get: impl Fn(&LayertopToml) -> Option<&Spanned<String>>,
    ) -> ConfigValue<T> {
        let typed = typed.map(|value| ConfigValue { value, origin: ValueOrigin::Option(name) });
        let from_file = || {
            let text = self.file(get)?;
            Some(ConfigValue { value: validate::choice(&text).ok()?, origin: text.origin })
        };
        typed.or_else(from_file).unwrap_or_else(|| ConfigValue::default(T::default()))
    }

    /// A path of a file, as it must stand in a command that runs in the working directory.
    fn path(&self, path: String) -> String {
        if self.folder == self.around.cwd || path == "-" || is_remote(&path) {
            return path;
        }
        let whole = if path == "." { self.folder.to_owned() } else { self.folder.join(path) };
        whole.to_string_lossy().into_owned()
    }
}

/// How long something is kept; this long where nothing is said.
fn period(text: Option<ConfigValue<String>>, otherwise: Duration) -> ConfigValue<Duration> {
    text.and_then(|text| Some(ConfigValue { value: validate::duration(&text).ok()?, origin: text.origin }))
        .unwrap_or_else(|| ConfigValue::default(otherwise))
}

/// A value that may be missing, with the origin of its absence.
fn option<T>(value: Option<ConfigValue<T>>) -> ConfigValue<Option<T>> {
    value.map_or_else(|| ConfigValue::default(None), |value| value.map(Some))
}

/// Whether a build context is a URL, as buildx tells it (`IsRemoteURL` in its `util/urlutil`, Git's short forms
/// included). buildx takes a folder of that name first, so a caller that can look should look.
pub fn is_remote(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/")
}
