use rstest::rstest;

use super::*;

fn lookup(name: &str) -> Option<String> {
    match name {
        "NAME" => Some("world".to_owned()),
        "EMPTY" => Some(String::new()),
        "FILE" => Some("a.tar.gz".to_owned()),
        "DIR" => Some("/opt/a/b".to_owned()),
        _ => None,
    }
}

#[rstest]
#[case("$NAME ${NAME}x $NAMEx", "world worldx ")]
#[case("\\$NAME '$NAME' \"$NAME\"", "$NAME $NAME world")]
#[case("${NONE:-a} ${NONE-a} ${EMPTY:-a} ${EMPTY-a} ${NAME:-a}", "a a a  world")]
#[case("${NONE:+a} ${NONE+a} ${EMPTY:+a} ${EMPTY+a} ${NAME:+a}", "   a a")]
#[case("${NONE:-${NAME:-b}} ${NONE:-a b}", "world a b")]
#[case("${NAME:?missing} ${NAME?}", "world world")]
#[case("${FILE#*.} ${FILE##*.} ${FILE%.*} ${FILE%%.*}", "tar.gz gz a.tar a")]
#[case("${DIR#/opt} ${DIR%/?} ${DIR#no} ${DIR%no} ${NONE#a}", "/a/b /opt/a /opt/a/b /opt/a/b ")]
#[case("${DIR/\\//-} ${DIR//\\//-} ${NAME/o*/!} ${NAME/z/y}", "-opt/a/b -opt-a-b w! world")]
#[case("$1 $@ $ a$", "  $ a$")]
#[case("a<b << c", "a<b << c")]
#[case("漢${NAME}字 $NAME字", "漢world字 ")]
fn expands_as_in_copy(#[case] word: &str, #[case] expected: &str) {
    assert_eq!(expand(word, '\\', &lookup), expected);
}

#[rstest]
#[case("echo $NAME ${NAME} \"$NAME\" '$NAME' \\$NAME", "echo world world \"world\" '$NAME' $NAME")]
#[case("$NONE ${NONE} ${NONE:-a} ${NONE#b*} ${NONE/a/b}", "$NONE ${NONE} ${NONE:-a} ${NONE#b*} ${NONE/a/b}")]
#[case("a \\\\ b \"\\\"\" \"\\n\" $(x) `y` $?", "a \\ b \"\"\" \"\\n\" $(x) `y` $?")]
fn expands_as_in_run(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(expand_run(text, '\\', &lookup), expected);
}

#[rstest]
#[case("${")]
#[case("${NAME")]
#[case("${}")]
#[case("${NAME:x}")]
#[case("${NAME:#x}")]
#[case("${NAME#\\x}")]
#[case("${NAME/a}")]
#[case("$NAME '")]
#[case("$NAME \"")]
#[case("${NONE:?missing}")]
fn leaves_what_cannot_be_read_as_it_is(#[case] text: &str) {
    assert_eq!(expand(text, '\\', &lookup), text);
}

#[test]
fn the_escape_character_can_be_a_backtick() {
    assert_eq!(expand("C:\\dir\\ `$NAME", '`', &lookup), "C:\\dir\\ $NAME");
}

#[test]
fn nesting_and_growth_have_bounds() {
    let deep = "${a:-".repeat(100_000) + &"}".repeat(100_000);
    assert_eq!(expand(&deep, '\\', &lookup), deep);
    let value = "x".repeat(GROWTH);
    let grown = expand("$A$A", '\\', &|_| Some(value.clone()));
    assert_eq!(grown, "$A$A");
}

#[test]
fn words_of_a_line_keep_their_quotes() {
    assert_eq!(
        raw_words("RUN <<  \"EOF\" 3<<x cat 'a b' \\<"),
        ["RUN", "<<  \"EOF\"", "3<<x", "cat", "'a b'", "\\<"]
    );
    assert_eq!(raw_words("an 'open quote"), Vec::<String>::new());
}
