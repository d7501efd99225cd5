//! What genuine tokens say, and to whom.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

const ISSUER: &str = "https://idp.example.org/realm";
const NOW: i64 = 1_800_000_000;

fn vouched(change: impl FnOnce(&mut Value)) -> Result<Vouched, TokenError> {
    let mut claims = json!({"iss": ISSUER, "sub": "ada", "aud": "store", "iat": NOW - 10, "exp": NOW + 300});
    change(&mut claims);
    let Value::Object(mut claims) = claims else { panic!("no object") };
    claims.retain(|_, value| *value != json!("absent"));
    Claims::new(claims).vouch(ISSUER, &["store".to_owned(), "shop".to_owned()], NOW)
}

fn with(name: &'static str, value: Value) -> Result<Vouched, TokenError> {
    vouched(|claims| claims[name] = value)
}

fn values(vouched: &Vouched, name: &str) -> Option<Vec<String>> {
    vouched.claims.iter().find(|(claim, _)| claim == name).map(|(_, values)| values.clone())
}

#[test]
fn a_token_holds_from_its_first_second_to_its_last_with_a_minute_of_leeway() {
    for (name, date, expected) in [
        ("exp", NOW - 59, Ok(())),
        ("exp", NOW - 60, Err(TokenError::Expired)),
        ("exp", 0, Err(TokenError::Expired)),
        ("iat", NOW + 60, Ok(())),
        ("iat", NOW + 61, Err(TokenError::NotYet)),
        ("nbf", NOW + 60, Ok(())),
        ("nbf", NOW + 61, Err(TokenError::NotYet)),
        ("nbf", 0, Ok(())),
    ] {
        assert_eq!(with(name, json!(date)).map(drop), expected, "{name} {date}");
    }
    assert!(with("exp", json!(1_800_000_300.75)).is_ok());
    for (name, value) in [
        ("exp", json!("absent")),
        ("iat", json!("absent")),
        ("exp", json!("1800000300")),
        ("exp", Value::Null),
        ("exp", json!(1e300)),
        ("iat", json!(-1)),
        ("nbf", json!(true)),
    ] {
        assert!(matches!(with(name, value.clone()), Err(TokenError::Claim { claim, .. }) if claim == name), "{name} {value}");
    }
}

#[test]
fn a_token_is_taken_of_its_issuer_alone() {
    assert!(with("iss", json!(format!("{ISSUER}/"))).is_ok());
    for other in
        ["https://idp.example.org", "https://idp.example.org/realm2", "https://idp.example.org/Realm", "http://idp.example.org/realm"]
    {
        assert_eq!(with("iss", json!(other)), Err(TokenError::WrongIssuer), "{other}");
    }
    for (name, value) in [
        ("iss", json!("absent")),
        ("iss", json!([ISSUER])),
        ("sub", json!("absent")),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("s".repeat(256))),
    ] {
        assert!(matches!(with(name, value.clone()), Err(TokenError::Claim { claim, .. }) if claim == name), "{name} {value}");
    }
}

#[test]
fn every_audience_is_a_client_of_the_provider_unless_the_token_names_one() {
    let audience = |aud: Value, azp: Value| {
        vouched(|claims| {
            claims["aud"] = aud;
            claims["azp"] = azp;
        })
    };
    let none = json!("absent");
    for (aud, azp, expected) in [
        (json!("store"), none.clone(), Some(("store", None))),
        (json!(["store", "shop"]), none.clone(), Some(("store shop", None))),
        (json!(["store", "other"]), none.clone(), None),
        (json!([]), none.clone(), None),
        (json!("other"), none.clone(), None),
        (json!("STORE"), none.clone(), None),
        (json!("store"), json!("store"), Some(("store", Some(vec!["store"])))),
        (json!(["store", "other"]), json!("shop"), Some(("shop", Some(vec!["store", "other"])))),
        (json!("store"), json!("other"), None),
        (json!("other"), json!("store"), None),
    ] {
        let found = audience(aud.clone(), azp.clone());
        match expected {
            None => assert_eq!(found, Err(TokenError::WrongAudience), "{aud} {azp}"),
            Some((of_token, oaud)) => {
                let found = found.unwrap();
                assert_eq!((found.audience.as_str(), values(&found, "aud").unwrap().join(" ").as_str()), (of_token, of_token));
                assert_eq!(values(&found, "oaud"), oaud.map(|list| list.into_iter().map(str::to_owned).collect()));
            }
        }
    }
    for (aud, azp) in
        [(json!(7), none.clone()), (json!(["store", 7]), none.clone()), (none, json!("store")), (json!("store"), json!(["store"]))]
    {
        assert!(matches!(audience(aud.clone(), azp.clone()), Err(TokenError::Claim { .. })), "{aud} {azp}");
    }
}

#[test]
fn claims_with_values_that_can_be_compared_are_told_and_none_of_another_provider() {
    let found = vouched(|claims| {
        claims["groups"] = json!(["a", "b"]);
        claims["level"] = json!(7);
        claims["email_verified"] = json!(true);
        claims["realm_access"] = json!({"roles": ["admin"]});
        claims["mixed"] = json!(["a", {"b": 1}]);
        claims["nested"] = json!([["a"]]);
        claims["8443/other:sub"] = json!("eve");
        claims["oaud"] = json!("forged");
        claims["jti"] = json!("1");
    });
    let found = found.unwrap();
    let mut told: Vec<_> = found.claims.iter().map(|(name, values)| (name.as_str(), values.join(","))).collect();
    told.sort();
    let expected = [("aud", "store"), ("email_verified", "true"), ("groups", "a,b"), ("level", "7"), ("sub", "ada")];
    assert_eq!(told, expected.map(|(name, values)| (name, values.to_owned())));
}

#[test]
fn a_provider_gives_tags_and_names_whom_the_session_acts_for() {
    let tags = |tags: Value| with(TAGS, tags).map(|vouched| vouched.tags);
    let text = str::to_owned;
    let given = tags(json!({"principal_tags": {"team": ["red"], "cost": "7"}, "transitive_tag_keys": ["team"]})).unwrap();
    assert_eq!(given, [(text("cost"), text("7")), (text("team"), text("red"))]);
    assert_eq!(tags(json!("absent")), Ok(Vec::new()));
    for bad in [
        json!({}),
        json!([]),
        json!({"principal_tags": {"a": ["b", "c"]}}),
        json!({"principal_tags": {"a": []}}),
        json!({"principal_tags": {"a": 1}}),
    ] {
        assert!(matches!(tags(bad.clone()), Err(TokenError::Claim { claim: TAGS, .. })), "{bad}");
    }
    assert_eq!(with(SOURCE_IDENTITY, json!("ada")).unwrap().source_identity, Some(text("ada")));
    assert!(with(SOURCE_IDENTITY, json!(1)).is_err());
}
