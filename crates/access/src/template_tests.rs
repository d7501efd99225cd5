//! Variables in patterns and texts: how they are written, that their values are literal, and what one without a value means.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::testing::{alice, identity};
use crate::{Action, Conditions, Identity, Resolved};

fn tagged(value: &str) -> Identity {
    identity(Resolved { tags: vec![("v".to_owned(), value.to_owned())], ..alice() })
}

fn fit(template: &str, reading: Reading, text: &str, identity: &Identity) -> Fit {
    let conditions = Conditions::new(true);
    let question = Question { identity, action: Action::GetObject, conditions: &conditions, resource_account: None };
    Template::parse(template, reading, true).unwrap().fits(text, &question)
}

fn parse(text: &str) -> Result<Template, StatementProblem> {
    Template::parse(text, Reading::Pattern, true)
}

#[test]
fn a_variable_stands_for_its_value_and_nothing_else() {
    let home = "home/${aws:PrincipalTag/v}/*";
    for (value, text, fits) in [
        ("alice", "home/alice/k", true),
        ("alice", "home/bob/k", false),
        ("*", "home/bob/k", false),
        ("*", "home/*/k", true),
        ("?lice", "home/alice/k", false),
        ("?lice", "home/?lice/k", true),
        ("", "home//k", true),
        ("${aws:username}", "home/alice/k", false),
        ("${aws:username}", "home/${aws:username}/k", true),
        ("a/*/b", "home/a/x/b/k", false),
        ("émile", "home/émile/k", true),
    ] {
        assert_eq!(fit(home, Reading::Pattern, text, &tagged(value)), fits.into(), "{value} {text}");
    }
}

#[test]
fn a_variable_without_a_value_fits_nothing_but_has_its_default() {
    let nobody = identity(alice());
    assert_eq!(fit("home/${aws:PrincipalTag/v}", Reading::Pattern, "home/", &nobody), Fit::Unknown);
    assert_eq!(fit("*${aws:PrincipalTag/v}*", Reading::Pattern, "home/", &nobody), Fit::Unknown);
    assert_eq!(fit("${aws:PrincipalTag/v}${aws:username}", Reading::Pattern, "", &nobody), Fit::Unknown);
    for template in ["home/${aws:PrincipalTag/v, 'all'}", "home/${ aws:PrincipalTag/v ,'all' }"] {
        assert_eq!(fit(template, Reading::Pattern, "home/all", &nobody), Fit::Yes, "{template}");
        assert_eq!(fit(template, Reading::Pattern, "home/all", &tagged("own")), Fit::No, "{template}");
        assert_eq!(fit(template, Reading::Pattern, "home/own", &tagged("own")), Fit::Yes, "{template}");
    }
    assert_eq!(fit("${aws:PrincipalTag/v, '}*'}", Reading::Pattern, "}*", &nobody), Fit::Yes);
    assert_eq!(fit("${aws:PrincipalTag/v, '*'}", Reading::Pattern, "any", &nobody), Fit::No);
}

#[test]
fn an_escaped_character_is_that_character() {
    let nobody = identity(alice());
    for (template, text, fits) in [
        ("a${*}b", "a*b", true),
        ("a${*}b", "axb", false),
        ("a${?}*", "a?b", true),
        ("a${?}*", "axb", false),
        ("${$}{aws:username}", "${aws:username}", true),
        ("${*}${aws:username}", "*alice", true),
    ] {
        assert_eq!(fit(template, Reading::Pattern, text, &nobody), fits.into(), "{template} {text}");
    }
}

#[test]
fn in_a_text_stars_are_characters() {
    assert_eq!(fit("*${aws:username}?", Reading::Text, "*alice?", &identity(alice())), Fit::Yes);
    assert_eq!(fit("*${aws:username}?", Reading::Text, "xalicex", &identity(alice())), Fit::No);
    let any_case = |template: &str, text: &str, identity: &Identity| {
        let conditions = Conditions::new(true);
        let question = Question { identity, action: Action::GetObject, conditions: &conditions, resource_account: None };
        Template::parse(template, Reading::Text, true).unwrap().fits_any_case(text, &question)
    };
    assert_eq!(any_case("X/${aws:PrincipalTag/v}", "x/ÉMILE", &tagged("émile")), Fit::Yes);
    assert_eq!(any_case("X/${aws:PrincipalTag/v}", "x/ÉMILE", &tagged("emile")), Fit::No);
    assert_eq!(any_case("X/${aws:PrincipalTag/v}", "x/", &identity(alice())), Fit::Unknown);
    assert_eq!(any_case("ΟΔΟΣ", "οδος", &identity(alice())), Fit::Yes);
}

#[test]
fn what_is_no_variable_is_refused() {
    use StatementProblem::{PatternTooCostly, UnknownKey, VariableForm, VariableOfList, VariableVersion};
    for text in ["${", "${}", "a${aws:username", "${aws:username, all}", "${aws:username, 'all}", "${aws:username, 'a' 'b'}"] {
        let refused = parse(text).unwrap_err();
        assert!(matches!(&refused, VariableForm(_)) || refused == UnknownKey(String::new()), "{text}: {refused:?}");
    }
    assert_eq!(parse("${aws:nobody}"), Err(UnknownKey("aws:nobody".to_owned())));
    assert_eq!(parse("${s3:RequestObjectTagKeys}"), Err(VariableOfList("s3:RequestObjectTagKeys".to_owned())));
    assert_eq!(
        Template::parse("${aws:username}", Reading::Text, false),
        Err(VariableVersion("${aws:username}".to_owned())),
        "only the newer version has variables"
    );
    assert!(Template::parse("$a {b} $", Reading::Text, false).is_ok());
    for text in ["*?${aws:username}*", "*${aws:username}?*", &format!("*{}*${{aws:username}}", "?".repeat(65))] {
        assert_eq!(parse(text), Err(PatternTooCostly(text.to_owned())));
    }
    for text in ["?${aws:username}*", "*${aws:username}?", "*${aws:username}*", "*?*${aws:username}*?*"] {
        assert!(parse(text).is_ok(), "{text}");
    }
    assert!(matches!(parse(&format!("${{aws:username}}{}", "a".repeat(2048))), Err(StatementProblem::PatternTooLong { .. })));
}

#[test]
fn a_value_that_is_longer_than_the_text_fits_nothing_and_takes_no_room() {
    let long = tagged(&"a".repeat(1 << 20));
    let many = "*${aws:PrincipalTag/v}*".repeat(60);
    assert_eq!(fit(&many, Reading::Pattern, "aaaa", &long), Fit::No);
    let exact = tagged(&"a".repeat(1000));
    assert_eq!(fit("*${aws:PrincipalTag/v}*", Reading::Pattern, &"a".repeat(1000), &exact), Fit::Yes);
    assert_eq!(fit("*${aws:PrincipalTag/v}*", Reading::Pattern, &"a".repeat(999), &exact), Fit::No);
}

/// The definition, word for word: a star is any characters, a question mark is one, a value is itself.
fn model(glyphs: &[Glyph], text: &[char]) -> bool {
    match glyphs {
        [] => text.is_empty(),
        [Glyph::Many, rest @ ..] => (0..=text.len()).any(|skip| model(rest, &text[skip..])),
        [Glyph::One, rest @ ..] => !text.is_empty() && model(rest, &text[1..]),
        [Glyph::Char(wanted), rest @ ..] => text.first() == Some(wanted) && model(rest, &text[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filled_pattern_matches_as_the_definition_says(
        before in "[ab*]{0,3}",
        between in "[ab*]{0,3}",
        after in "[ab*?]{0,3}",
        value in "[ab*?]{0,3}",
        text in "[ab*?]{0,9}",
    ) {
        let template = format!("{before}${{aws:PrincipalTag/v}}{between}${{aws:PrincipalTag/v}}{after}");
        let Ok(_) = parse(&template) else { return Ok(()) };
        let literal = |text: &str| text.chars().map(Glyph::Char).collect::<Vec<_>>();
        let written = |text: &str| Glyph::of(text).collect::<Vec<_>>();
        let glyphs = [written(&before), literal(&value), written(&between), literal(&value), written(&after)].concat();
        let expected = model(&glyphs, &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(fit(&template, Reading::Pattern, &text, &tagged(&value)), expected.into());
    }
}
