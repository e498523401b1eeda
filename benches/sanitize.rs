//! How fast output of steps becomes lines, in each of the kinds of `memory.sh`: at least 50 MB/s, whatever it is.
//!
//! The bytes come in the chunks that `BuildKit` sends, and a secret is known, so that every line is also looked at for it. Time on the
//! processor is what counts.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]

#[expect(dead_code, reason = "other measurements use the rest of it")]
mod measure;

use std::hint::black_box;
use std::time::Duration;

use layertop::event::{LineBuffer, Mask, Sanitizer};

/// How much there is of each kind.
const LENGTH: usize = 20_000_000;
/// What `BuildKit` sends at once.
const CHUNK: usize = 32 << 10;
const TURNS: usize = 3;

fn main() {
    if !measure::asked() {
        return;
    }
    println!("sanitise 20 MB                    no secret      a secret    (at least 50 MB/s)");
    let secret = Mask::new(["correct horse battery staple".to_owned()]);
    for (what, bytes) in kinds() {
        let [without, with] = [&Mask::default(), &secret].map(|mask| {
            let best = (0..TURNS).map(|_| sanitize(&bytes, mask)).min().unwrap_or_default();
            bytes.len() as f64 / 1e6 / best.as_secs_f64()
        });
        println!("{what:<28} {without:>9.0} MB/s {with:>9.0} MB/s");
    }
}

fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let binary = noise();
    let base64: Vec<u8> =
        binary.chunks(76).flat_map(|row| row.iter().map(|byte| b'A' + byte % 26).chain([b'\n'])).collect();
    let long = [vec![b'a'; 60_000], vec![b'\n']].concat();
    vec![
        ("empty lines", again(b"\n")),
        ("one-character lines", again(b"x\n")),
        ("no line feed", again(b"a")),
        ("long lines", again(&long)),
        ("binary", binary),
        ("colours", again(b"\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[0m\n")),
        ("progress bars", again(b"\r [=======>      ] 42 % of it")),
        ("wide characters", again("漢字かな交じり文\n".as_bytes())),
        ("other letters", again("Größenänderung für Übung, déjà vu\n".as_bytes())),
        ("base64", base64),
        ("invalid UTF-8", again(b"\xc3\x28\xff\xfe\n")),
        ("tables (tabs)", again(b"a\tbc\tdef\n")),
    ]
}

fn again(piece: &[u8]) -> Vec<u8> {
    piece.iter().copied().cycle().take(LENGTH).collect()
}

/// Bytes without an order, the same ones each time (`xorshift64`).
fn noise() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..LENGTH / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// Time on the processor of one pass.
fn sanitize(bytes: &[u8], mask: &Mask) -> Duration {
    let mut sanitizer = Sanitizer::default();
    let mut lines = LineBuffer::default();
    let before = measure::busy();
    for chunk in bytes.chunks(CHUNK) {
        sanitizer.feed(chunk, mask, &mut lines);
        black_box(sanitizer.partial(mask));
        black_box(lines.take());
    }
    measure::busy().saturating_sub(before)
}
