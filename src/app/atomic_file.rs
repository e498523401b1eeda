//! Files that are written whole or not at all: whoever reads one while it is replaced sees the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Replaces a file. What is no file, such as a pipe or `/dev/stdout`, is written to.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // A link stays one; what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let done = match fs::metadata(&path) {
        Ok(known) if !known.is_file() => {
            OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(bytes))
        }
        _ => replace(&path, bytes),
    };
    done.map_err(|error| Error::not_written("write", &path, error))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(io::ErrorKind::IsADirectory.into()) };
    // The beginning of its name and its end keep it from whoever reads all of a folder's `*.prom`.
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let part = PartialFile(path.with_file_name(hidden));
    let mut file = File::create(&part.0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if let Ok(known) = fs::metadata(path) {
        file.set_permissions(known.permissions())?;
    }
    fs::rename(&part.0, path)
}

/// What is there of a file; gone where it did not become one.
struct PartialFile(PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After the renaming there is nothing of this name.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.prom"), folder.path().join("link"));
        write(&file, b"one\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, b"two\n").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_is_written_to_and_a_missing_folder_is_said() {
        write(Path::new("/dev/null"), b"x").unwrap();
        let error = write(Path::new("/nonexistent/x"), b"x").unwrap_err();
        assert!(error.to_string().starts_with("can't write /nonexistent/x: "), "{error}");
    }
}
