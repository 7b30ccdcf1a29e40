//! Expressions of SPDX, such as `(MIT OR Apache-2.0) AND Unicode-3.0`.

/// Whether the allowed licences satisfy an expression.
pub(super) fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // Some older crates write / for OR.
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut rest = words.as_slice();
    let answer = any(&mut rest, allowed);
    answer && rest.is_empty()
}

/// Reads alternatives; AND binds closer than OR.
fn any(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut answer = all(rest, allowed);
    while let [first, later @ ..] = *rest
        && first.eq_ignore_ascii_case("OR")
    {
        *rest = later;
        answer |= all(rest, allowed);
    }
    answer
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut answer = one(rest, allowed);
    while let [first, later @ ..] = *rest
        && first.eq_ignore_ascii_case("AND")
    {
        *rest = later;
        answer &= one(rest, allowed);
    }
    answer
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    let [first, later @ ..] = *rest else { return false };
    *rest = later;
    if *first == "(" {
        let answer = any(rest, allowed);
        let [")", later @ ..] = *rest else { return false };
        *rest = later;
        return answer;
    }
    if let ["WITH", exception, later @ ..] = *rest {
        *rest = later;
        return allowed.contains(&format!("{first} WITH {exception}"));
    }
    allowed.iter().any(|allowed| allowed == first)
}

#[test]
fn an_expression_is_what_it_says() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("MIT OR ISC AND GPL-3.0", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("GPL-3.0 AND (MIT OR ISC)", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("MIT WITH LLVM-exception", false),
        ("MIT WITH LLVM-exception OR ISC", true),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
