use super::*;
use crate::report::styled::StyledLine;

fn step(index: u16, instruction: &str, run_ms: u64, because: Option<&str>) -> PlacedStep {
    let reason = because.map(|because| Reason { root: true, because: because.into(), ..Reason::default() });
    let half = ComparedStep { state: State::Miss, source: None, run_ms, pull_ms: 0, bytes: 0, reason };
    PlacedStep {
        target: None,
        stage: None,
        index,
        platform: None,
        layer: None,
        instruction: instruction.into(),
        pulled: 0,
        half,
    }
}

fn side(steps: Vec<PlacedStep>) -> ComparedBuild {
    ComparedBuild { whole: BuildTotals::sums(&steps), steps }
}

fn shown(a: &ComparedBuild, b: &ComparedBuild) -> Vec<String> {
    let text = |line: &StyledLine| line.pieces().map(|(piece, _)| piece).collect::<String>();
    lines(&compare(a, b), 100, true).iter().map(|line| text(line).trim_end().to_owned()).collect()
}

fn assert_has(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|line| line.contains(wanted)), "no line has `{wanted}`:\n{}", lines.join("\n"));
}

/// What the first build did is not told of the second one's instruction.
#[test]
fn a_step_with_another_instruction_says_what_it_was_before() {
    let a = side(vec![step(1, "RUN make all", 4000, Some("Makefile changed"))]);
    let b = side(vec![step(1, "RUN make docs", 1000, Some("its instruction changed"))]);
    let found = compare(&a, &b);
    let [pair] = found.steps.as_slice() else { panic!("{found:?}") };
    assert_eq!(pair.instruction.as_str(), "RUN make docs");
    assert_eq!(pair.instruction_a.as_ref().map(Text::as_str), Some("RUN make all"));
    let lines = shown(&a, &b);
    assert_has(&lines, "A: RUN make all ");
    assert_has(&lines, "B: RUN make docs ");
    assert_eq!(lines.iter().filter(|line| line.contains("RUN make docs")).count(), 2, "{lines:#?}");
    assert_has(&lines, "  in A: RUN make all");
}

#[test]
fn what_says_the_same_has_one_instruction() {
    let from = |digest: &str| step(1, &format!("FROM a/base:1@sha256:{digest}"), 500, None);
    let (a, b) = (
        side(vec![from("aa"), step(2, "RUN b", 10, None)]),
        side(vec![from("bb"), step(3, "RUN b", 900, None)]),
    );
    let found = compare(&a, &b);
    assert_eq!(found.steps.len(), 2, "{found:?}");
    assert!(found.steps.iter().all(|pair| pair.instruction_a.is_none()), "{found:?}");
}

/// A place is no likeness: what copies is not what ran there before.
#[test]
fn another_kind_of_instruction_is_another_step() {
    let a = side(vec![step(1, "RUN fetch sources", 2000, None)]);
    let b = side(vec![step(1, "COPY src src", 300, None)]);
    let found = compare(&a, &b);
    let halves: Vec<_> = found.steps.iter().map(|pair| (pair.a.is_some(), pair.b.is_some())).collect();
    assert_eq!(halves, [(true, false), (false, true)], "{found:?}");
    let lines = shown(&a, &b);
    assert_has(&lines, "RUN fetch sources");
    assert_has(&lines, "COPY src src");
}

/// 4.29 s is shown as 4.2 s and 5.11 s as 5.1 s; beside these 0.8 s would be wrong.
#[test]
fn a_difference_is_that_of_the_times_beside_it() {
    let lines = shown(&side(vec![step(1, "RUN a", 4290, None)]), &side(vec![step(1, "RUN a", 5110, None)]));
    let row = lines.iter().find(|line| line.starts_with("RUN a")).expect("a row");
    assert!(row.contains("4.2 s") && row.contains("5.1 s") && row.ends_with("+0.9 s"), "{row}");
}
