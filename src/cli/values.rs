//! Values of options, as people write them. Each mistake says how it is written.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

/// How many.
pub(super) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "give a whole number, such as 20".to_owned())
}

/// How long ago.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "give a number with its unit, such as 90d, 12h or 30m".to_owned())
}

/// Bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>();
    size.map(|size| size.as_u64()).map_err(|_| "write it as 1GB, 512MiB or a number of bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_says_how_it_is_written() {
        for text in ["", "abc", "-1", "1.5", "99999999999999999999999"] {
            assert!(count::<u32>(text).unwrap_err().contains("such as 20"), "{text}");
        }
        for text in ["", "xx", "90", "-1d", "1 fortnight"] {
            assert!(age(text).unwrap_err().contains("90d"), "{text}");
        }
        for text in ["", "xx", "-1"] {
            assert!(size(text).unwrap_err().contains("1GB"), "{text}");
        }
        assert_eq!(
            (count("20"), age("90d"), size("1KiB")),
            (Ok(20_u8), Ok(Duration::from_secs(7_776_000)), Ok(1024))
        );
    }
}
