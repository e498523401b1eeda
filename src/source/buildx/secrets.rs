//! The secrets that a build command knows of: what must be masked wherever it turns up.

use std::path::Path;

use crate::config::Surroundings;
use crate::event::Mask;

use super::args::{field, fields};

/// Reads a file that may hold a secret; none where it can't be read or is too large to be one.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Option<Vec<u8>>;

/// Larger files are no secrets that a log line could show. `BuildKit` itself takes up to 500 KiB.
const MAX_FILE: u64 = 64 * 1024;
/// Lines of a secret file that are shorter than this are braces and words rather than secrets.
const MIN_LINE: usize = 6;

/// Reads a secret's file from the disk.
pub fn read_file(path: &Path) -> Option<Vec<u8>> {
    let meta = path.metadata().ok()?;
    // A pipe or a device is for buildx to read: it can be read just once.
    (meta.is_file() && meta.len() <= MAX_FILE).then(|| std::fs::read(path).ok()).flatten()
}

/// The values of one `--secret`, wherever buildx would take it from (`util/buildflags/secrets.go` of buildx and
/// `secretsprovider` of `BuildKit`): `env`, `src`, or what is called as the id is.
pub(super) fn of_secret(spec: &str, around: &Surroundings, read: ReadFile<'_>) -> Vec<String> {
    let id = field(spec, "id");
    let source = field(spec, "src").or_else(|| field(spec, "source"));
    let by_env = field(spec, "type").is_some_and(|kind| kind == "env");
    let variable = field(spec, "env").or_else(|| source.clone().filter(|_| by_env));
    let variable =
        variable.or_else(|| id.clone().filter(|id| source.is_none() && around.env.contains_key(id)));
    if let Some(value) = variable.as_ref().and_then(|name| around.env.get(name)) {
        return of_content(value);
    }
    let file = source.or(id).filter(|_| variable.is_none());
    let content = file.and_then(|file| read(&around.cwd.join(file)));
    content.map(|bytes| of_content(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
}

/// A secret as a step could print it: whole, line by line, and the values of `NAME=value` and `name: value` lines.
fn of_content(content: &str) -> Vec<String> {
    let whole = content.trim();
    let mut found = vec![whole.to_owned()];
    for line in whole.lines().map(str::trim) {
        let pair = line.split_once('=').or_else(|| line.split_once(':'));
        let value = pair.filter(|(name, _)| Mask::secret_name(name)).map(|(_, value)| value.trim());
        let parts = [Some(line), value.map(|value| value.trim_matches(['"', '\'']))];
        found.extend(parts.into_iter().flatten().filter(|part| part.len() >= MIN_LINE).map(str::to_owned));
    }
    found.retain(|text| !text.is_empty());
    found.sort();
    found.dedup();
    found
}

/// The values of the attributes of `--cache-to`, `--output` and their like whose names look secret.
pub(super) fn of_attributes(list: &str) -> Vec<String> {
    let secret = |field: &String| {
        let (name, value) = field.split_once('=')?;
        (Mask::secret_name(name) && !value.is_empty()).then(|| value.to_owned())
    };
    fields(list).iter().filter_map(secret).collect()
}

/// What stands between `://` and `@` in a URL as a secret: the password, or a token that stands there alone.
pub(super) fn of_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let secret = match user.split_once(':') {
        Some((_, password)) => password,
        // `ssh://git@host` names an account; `https://TOKEN@host` is how tokens are handed to Git.
        None if scheme.ends_with("ssh") || user == "git" => return None,
        None => user,
    };
    (!secret.is_empty()).then(|| secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(env: &[(&str, &str)]) -> Surroundings {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Surroundings { cwd: "/project".into(), user_file: None, env }
    }

    #[test]
    fn a_secret_is_found_where_buildx_finds_it() {
        let read = |path: &Path| Some(format!("in {}", path.display()).into_bytes());
        let env = around(&[("TOKEN", "from-env"), ("mysecret", "by-id")]);
        let cases = [
            ("id=x,env=TOKEN", vec!["from-env"]),
            ("type=env,id=x,src=TOKEN", vec!["from-env"]),
            ("id=mysecret", vec!["by-id"]),
            ("id=x,src=a/b", vec!["in /project/a/b"]),
            ("id=x,source=/etc/s", vec!["in /etc/s"]),
            ("id=x", vec!["in /project/x"]),
            ("id=x,env=NOT_SET", vec![]),
        ];
        for (spec, expected) in cases {
            assert_eq!(of_secret(spec, &env, &read), expected, "{spec}");
        }
    }

    #[test]
    fn files_are_known_line_by_line() {
        let found = of_content("//registry.npmjs.org/:_authToken=abcdef123\n{\n}\n");
        assert!(found.contains(&"abcdef123".to_owned()) && !found.contains(&"{".to_owned()), "{found:?}");
        let found = of_content("API_TOKEN=\"abcdef123\"\nUSER=someone\n");
        assert!(
            found.contains(&"abcdef123".to_owned()) && !found.contains(&"someone".to_owned()),
            "{found:?}"
        );
        assert!(of_content(" \n").is_empty());
    }

    #[test]
    fn userinfo_of_urls() {
        assert_eq!(of_url("https://me:pw@host/x").as_deref(), Some("pw"));
        assert_eq!(of_url("https://ghp_1@github.com/x.git").as_deref(), Some("ghp_1"));
        for text in ["https://host/@x", "ssh://git@host/x", "a@b", "https://host"] {
            assert_eq!(of_url(text), None, "{text}");
        }
    }

    #[test]
    fn large_files_and_folders_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        std::fs::write(&file, vec![b'x'; 64 * 1024]).unwrap();
        assert!(read_file(&file).is_some());
        std::fs::write(&file, vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert_eq!(read_file(&file), None);
        assert_eq!(read_file(dir.path()), None);
    }
}
