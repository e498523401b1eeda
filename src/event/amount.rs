//! How numbers are written, wherever they stand.

/// `0 B`, `999 B`, `1.2 MB`, `195 MB`: decimal units, as registries and docker have them, two or three digits.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut unit: u128 = 1000;
    for name in UNITS {
        let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        let whole = (u128::from(bytes) + unit / 2) / unit;
        if tenths < 100 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        if whole < 1000 {
            return format!("{whole} {name}");
        }
        unit *= 1000;
    }
    // Not reached: the largest number of bytes is 18 EB.
    format!("{bytes} B")
}

/// Two amounts side by side: in full where they would look the same otherwise.
pub fn bytes_apart(one: u64, other: u64) -> (String, String) {
    let (short, beside) = (bytes(one), bytes(other));
    if short == beside && one != other { (format!("{one} B"), format!("{other} B")) } else { (short, beside) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_differ_look_different() {
        let both = |one, other| {
            let (one, other) = bytes_apart(one, other);
            format!("{one} {other}")
        };
        assert_eq!(both(187, 212), "187 B 212 B");
        assert_eq!(both(20_971_520, 42), "21 MB 42 B");
        assert_eq!(both(20_971_520, 20_971_521), "20971520 B 20971521 B");
        assert_eq!(both(20_971_520, 20_971_520), "21 MB 21 MB");
    }
}
