//! References of images, taken apart as docker does.

/// `host/path:tag@digest`, of which all but the path may be missing. Whatever is written is taken apart; it need not be one that a
/// registry would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageReference<'a> {
    /// The registry, with its port; none where it is Docker Hub's by default.
    pub host: Option<&'a str>,
    /// What stands behind the host: `library/alpine`, `app`.
    pub path: &'a str,
    /// The tag; none where none is written.
    pub tag: Option<&'a str>,
    /// The digest; none where none is written.
    pub digest: Option<&'a str>,
    /// Host and path, as they are written.
    pub repository: &'a str,
}

impl<'a> ImageReference<'a> {
    /// Takes a reference apart. A first part is a host by a dot, a colon, or its being `localhost` (`splitDockerDomain` of
    /// distribution/reference).
    pub fn parse(text: &'a str) -> Self {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        let (repository, tag) = match named.rsplit_once(':') {
            // What stands before a port is no name.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        let (host, path) = match repository.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, repository),
        };
        Self { host, path, tag, digest, repository }
    }

    /// The registry, written out: `docker.io` where none is written.
    pub fn registry(&self) -> &'a str {
        self.host.unwrap_or("docker.io")
    }

    /// The repository in its registry: Docker Hub's own images are in `library`.
    pub fn path_in_registry(&self) -> String {
        let is_official = self.registry() == "docker.io" && !self.path.contains('/');
        if is_official { format!("library/{}", self.path) } else { self.path.to_owned() }
    }

    /// The image as docker and `BuildKit` write it out, without a digest: `docker.io/library/alpine:latest` for `alpine`.
    pub fn full(&self) -> String {
        format!("{}/{}:{}", self.registry(), self.path_in_registry(), self.tag.unwrap_or("latest"))
    }

    /// The same with its digest, where it has one; no tag is added then.
    pub fn full_with_digest(&self) -> String {
        let Some(digest) = self.digest else { return self.full() };
        let tag = self.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        format!("{}/{}{tag}@{digest}", self.registry(), self.path_in_registry())
    }
}

/// Whether two references name one image by one tag, whatever of it is written and whatever digest it had.
pub fn is_same_image(one: &str, other: &str) -> bool {
    ImageReference::parse(one).full() == ImageReference::parse(other).full()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart_as_docker_does() {
        for (text, host, path, tag, full) in [
            ("alpine", None, "alpine", None, "docker.io/library/alpine:latest"),
            ("docker.io/alpine", Some("docker.io"), "alpine", None, "docker.io/library/alpine:latest"),
            ("me/app:1", None, "me/app", Some("1"), "docker.io/me/app:1"),
            ("127.0.0.1:5000/a/b:c", Some("127.0.0.1:5000"), "a/b", Some("c"), "127.0.0.1:5000/a/b:c"),
            ("127.0.0.1:5000/app", Some("127.0.0.1:5000"), "app", None, "127.0.0.1:5000/app:latest"),
            ("localhost/app:a@sha256:00", Some("localhost"), "app", Some("a"), "localhost/app:a"),
            ("[::1]:5000/a/b:c", Some("[::1]:5000"), "a/b", Some("c"), "[::1]:5000/a/b:c"),
            ("", None, "", None, "docker.io/library/:latest"),
        ] {
            let found = ImageReference::parse(text);
            assert_eq!((found.host, found.path, found.tag), (host, path, tag), "{text}");
            assert_eq!(found.full(), full, "{text}");
        }
        assert_eq!(ImageReference::parse("app:1@sha256:00").digest, Some("sha256:00"));
        assert_eq!(ImageReference::parse("r:5000/app:1@sha256:00").repository, "r:5000/app");
        let written = |text| ImageReference::parse(text).full_with_digest();
        assert_eq!(written("app"), "docker.io/library/app:latest");
        assert_eq!(written("app@sha256:00"), "docker.io/library/app@sha256:00");
        assert_eq!(written("me/app:1@sha256:00"), "docker.io/me/app:1@sha256:00");
    }

    #[test]
    fn one_image_under_its_names() {
        assert!(is_same_image("alpine", "docker.io/library/alpine:latest@sha256:00"));
        assert!(is_same_image("r:5000/a/b", "r:5000/a/b:latest"));
        assert!(!is_same_image("alpine:3", "alpine"));
        assert!(!is_same_image("r:5000/library/a", "r:5000/a"));
    }
}
