//! Which step of an earlier Dockerfile a step of this one is.

/// Steps of a stage that are compared; more are compared by their places alone.
const MOST_STEPS: usize = 500;

/// What a step was in the earlier build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Was {
    /// The same instruction, at this place.
    Same(usize),
    /// Another instruction, at this place.
    Other(usize),
    /// Nothing.
    New,
}

/// For each of `new`, what it was in `old`: the longest common subsequence is the same, what stands between two of its members
/// was replaced in order, the rest is new.
pub(super) fn align<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Was> {
    if old.len().max(new.len()) > MOST_STEPS {
        let was = |(at, step): (usize, &T)| match old.get(at) {
            Some(before) if before == step => Was::Same(at),
            Some(_) => Was::Other(at),
            None => Was::New,
        };
        return new.iter().enumerate().map(was).collect();
    }
    let width = new.len() + 1;
    // At `i * width + j`: the length of the longest common subsequence of what follows `i` and `j`.
    let mut lengths = vec![0_u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i * width + j] = if old[i] == new[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let mut found = vec![Was::New; new.len()];
    let (mut i, mut j) = (0, 0);
    // Where the present gap between two common steps begins.
    let mut gap = (0, 0);
    loop {
        let common = i < old.len() && j < new.len() && old[i] == new[j];
        if common || (i == old.len() && j == new.len()) {
            for (before, now) in (gap.0..i).zip(gap.1..j) {
                found[now] = Was::Other(before);
            }
            if !common {
                return found;
            }
            found[j] = Was::Same(i);
            (i, j) = (i + 1, j + 1);
            gap = (i, j);
        } else if j == new.len()
            || (i < old.len() && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])
        {
            i += 1;
        } else {
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_again() {
        use Was::{New, Other, Same};
        let align = |old: &str, new: &str| {
            let steps = |text: &str| text.chars().collect::<Vec<_>>();
            super::align(&steps(old), &steps(new))
        };
        assert_eq!(align("abc", "abc"), [Same(0), Same(1), Same(2)]);
        assert_eq!(align("abc", "axc"), [Same(0), Other(1), Same(2)]);
        assert_eq!(align("abc", "axbc"), [Same(0), New, Same(1), Same(2)]);
        assert_eq!(align("abc", "ac"), [Same(0), Same(2)]);
        assert_eq!(align("abc", "abcd"), [Same(0), Same(1), Same(2), New]);
        assert_eq!(align("ab", "xyb"), [Other(0), New, Same(1)]);
        assert_eq!(align("", "a"), [New]);
        assert_eq!(align("abcd", "dx"), [Same(3), New]);
    }
}
