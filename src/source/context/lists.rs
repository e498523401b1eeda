//! What stands in lists of packages: a build that installs them again is to be told which of them is new.

use std::path::{Path, PathBuf};

use super::sets;
use crate::event::Mask;
use crate::event::fingerprint::{Context, File, FileKind};

/// How such files are called: the beginnings and the ends of their names.
const NAMES: [(&str, &str); 12] = [
    ("requirements", ".txt"),
    ("constraints", ".txt"),
    ("pyproject", ".toml"),
    ("package", ".json"),
    ("Cargo", ".toml"),
    ("go", ".mod"),
    ("Gemfile", ""),
    ("Pipfile", ""),
    ("environment", ".yml"),
    ("environment", ".yaml"),
    ("composer", ".json"),
    ("packages", ".txt"),
];

/// Bytes of a list; what is larger was written by no hand.
const LARGEST: u64 = 16 << 10;

/// Lists of one context.
const MOST: usize = 50;

fn is_list(file: &File) -> bool {
    let name = file.name.as_str();
    let named = |(begin, end): &(&str, &str)| name.starts_with(begin) && name.ends_with(end);
    let lock = name.contains("lock");
    file.kind == FileKind::File
        && file.size.is_some_and(|size| size <= LARGEST)
        && !lock
        && NAMES.iter().any(named)
}

/// Puts the lines of the lists to their files. What can't be read has none.
pub(super) fn read(context: &mut Context, folder: &Path, mask: &Mask) {
    let mut path: Vec<String> = Vec::new();
    let mut left = MOST;
    for file in &mut context.files {
        path.truncate(usize::from(file.depth));
        path.push(file.name.to_string());
        if left == 0 || !is_list(file) {
            continue;
        }
        left -= 1;
        let at: PathBuf = path.iter().collect();
        let Ok(bytes) = sets::read_small(&folder.join(at)) else { continue };
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        // It may have grown since it was looked at.
        file.lines = text.lines().take(LARGEST as usize / 16).map(|line| mask.text(line)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_known_by_their_names_and_masked() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("requirements-dev.txt", "--index-url https://me:pass@host/\nnumpy==1\nhunter2-hunter2\n");
        write("app/package.json", "{}\n");
        write("app/package-lock.json", "{}\n");
        write("notes.txt", "no list\n");
        let file = |depth, name: &str, kind| File {
            depth,
            name: name.into(),
            kind,
            size: Some(10),
            ..File::default()
        };
        let mut context = Context {
            files: vec![
                file(0, "app", FileKind::Dir),
                file(1, "package-lock.json", FileKind::File),
                file(1, "package.json", FileKind::File),
                file(0, "notes.txt", FileKind::File),
                file(0, "requirements-dev.txt", FileKind::File),
                file(0, "requirements-gone.txt", FileKind::File),
            ],
            ..Context::default()
        };
        read(&mut context, folder.path(), &Mask::new(["hunter2-hunter2".to_owned()]));
        let lines: Vec<Vec<&str>> = context
            .files
            .iter()
            .map(|file| file.lines.iter().map(crate::event::Text::as_str).collect())
            .collect();
        let list = vec!["--index-url https://***@host/", "numpy==1", "***"];
        assert_eq!(lines, [vec![], vec![], vec!["{}"], vec![], list, vec![]]);
    }
}
