//! Which tokens are genuine.
#![allow(clippy::unwrap_used)]

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::*;
use crate::jwt::{
    algorithm::Curve,
    testing::{Signer, encode, published},
};

const CLAIMS: &str = r#"{"iss":"https://idp.example.org","sub":"ada"}"#;

fn verified(token: &str, keys: &[Value]) -> Result<(), TokenError> {
    Token::read(token)?.verify(&KeySet::parse(&published(keys)).unwrap()).map(drop)
}

#[test]
fn a_token_of_each_algorithm_holds_under_its_key_alone() {
    let rsa = || Signer::rsa();
    let signers: [(&[&str], &dyn Fn() -> Signer); 5] = [
        (&["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], &rsa),
        (&["ES256"], &|| Signer::ec(Curve::P256)),
        (&["ES384"], &|| Signer::ec(Curve::P384)),
        (&["ES512"], &|| Signer::ec(Curve::P521)),
        (&["EdDSA", "Ed25519"], &Signer::ed25519),
    ];
    for (algorithms, make) in signers {
        let (signer, other) = (make(), make());
        for algorithm in algorithms {
            let token = signer.token(&json!({"alg": algorithm, "kid": "1"}), CLAIMS);
            assert_eq!(verified(&token, &[signer.jwk("1")]), Ok(()), "{algorithm}");
            assert_eq!(verified(&token, &[other.jwk("1")]), Err(TokenError::BadSignature), "{algorithm}");
            assert_eq!(verified(&token, &[signer.jwk("2")]), Err(TokenError::UnknownKey), "{algorithm}");
            let without = signer.token(&json!({"alg": algorithm}), CLAIMS);
            assert_eq!(verified(&without, &[other.jwk("1"), signer.jwk("2")]), Ok(()), "{algorithm}");
            let altered = token.replace(&encode(CLAIMS), &encode(CLAIMS.replace("ada", "eve")));
            assert_eq!(verified(&altered, &[signer.jwk("1")]), Err(TokenError::BadSignature), "{algorithm}");
        }
    }
}

#[test]
fn a_key_verifies_no_algorithm_but_its_own() {
    let (rsa, p256) = (Signer::rsa(), Signer::ec(Curve::P256));
    let token = rsa.token(&json!({"alg": "RS256", "kid": "1"}), CLAIMS);
    let with = |name: &str, value: Value| {
        let mut key = rsa.jwk("1");
        key[name] = value;
        verified(&token, &[key])
    };
    assert_eq!(with("alg", json!("RS256")), Ok(()));
    assert_eq!(with("key_ops", json!(["verify"])), Ok(()));
    for (name, value) in [
        ("alg", json!("PS256")),
        ("alg", json!("HS256")),
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("kty", json!("oct")),
        ("d", json!("AQAB")),
        ("e", json!("!")),
        ("n", json!(encode([0xff; 1025]))),
    ] {
        assert_eq!(with(name, value.clone()), Err(TokenError::UnknownKey), "{name} {value}");
    }
    assert_eq!(verified(&p256.token(&json!({"alg": "ES384", "kid": "1"}), CLAIMS), &[p256.jwk("1")]), Err(TokenError::UnknownKey));
    // A key that is too short to be safe.
    assert_eq!(with("n", json!(encode([0xff; 128]))), Err(TokenError::BadSignature));
}

#[test]
fn a_token_without_a_signature_or_under_a_shared_secret_is_refused() {
    let rsa = Signer::rsa();
    let keys = [rsa.jwk("1")];
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS512", "RS1", "rs256", "ES256K", "RSA-OAEP"] {
        let header = json!({"alg": algorithm, "kid": "1"});
        let signed = format!("{}.{}", encode(header.to_string()), encode(CLAIMS));
        assert_eq!(verified(&format!("{signed}."), &keys), Err(TokenError::Algorithm), "{algorithm}");
        // What everybody knows of the key, as the secret.
        let secret = hmac::Key::new(hmac::HMAC_SHA256, keys[0]["n"].as_str().unwrap().as_bytes());
        let forged = format!("{signed}.{}", encode(hmac::sign(&secret, signed.as_bytes())));
        assert_eq!(verified(&forged, &keys), Err(TokenError::Algorithm), "{algorithm}");
    }
    let header = |header: &str| verified(&format!("{}.{}.", encode(header), encode(CLAIMS)), &keys);
    assert_eq!(header(r#"{"kid":"1"}"#), Err(TokenError::Algorithm));
    assert_eq!(header(r#"{"alg":["RS256"]}"#), Err(TokenError::Algorithm));
    assert_eq!(header(r#"{"alg":"RS256","kid":"1"}"#), Err(TokenError::BadSignature));
}

#[test]
fn a_key_that_the_token_brings_is_no_key() {
    let (genuine, mine) = (Signer::rsa(), Signer::rsa());
    for (name, value) in
        [("jwk", mine.jwk("1")), ("jku", json!("https://mine.example.org/keys")), ("x5u", json!("https://mine.example.org"))]
    {
        let mut header = json!({"alg": "RS256", "kid": "1"});
        header[name] = value;
        assert_eq!(verified(&mine.token(&header, CLAIMS), &[genuine.jwk("1")]), Err(TokenError::BadSignature), "{name}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let rsa = Signer::rsa();
    let keys = [rsa.jwk("1")];
    let token = |header: Value, claims: &str| verified(&rsa.token(&header, claims), &keys);
    let plain = json!({"alg": "RS256", "kid": "1"});
    let malformed = |outcome: Result<(), TokenError>| matches!(outcome, Err(TokenError::Malformed(_)));
    for crit in [json!(["b64"]), json!([]), json!("exp"), Value::Null] {
        assert_eq!(token(json!({"alg": "RS256", "crit": crit}), CLAIMS), Err(TokenError::Critical));
    }
    assert!(malformed(token(json!({"alg": "RS256", "kid": 1}), CLAIMS)));
    assert!(malformed(token(json!({"alg": "RS256", "kid": "k".repeat(257)}), CLAIMS)));
    for claims in ["", "[]", "\"a\"", r#"{"sub":"a","sub":"b"}"#, r#"{"a":{"b":1,"b":2}}"#, &"[".repeat(9000)] {
        assert!(malformed(token(plain.clone(), claims)), "{}", &claims[..claims.len().min(30)]);
    }
    let good = rsa.token(&plain, CLAIMS);
    let cut: Vec<&str> = good.split('.').collect();
    let padded = format!("{}=.{}.{}", cut[0], cut[1], cut[2]);
    let five = format!("{good}.a.b");
    let huge = "a".repeat(MAX_TOKEN_BYTES + 1);
    for bad in
        ["", ".", "..", "a.b", cut[0], &format!("{}.{}", cut[0], cut[1]), &padded, &five, &huge, &format!(" {good}"), &format!("{good}\n")]
    {
        assert!(malformed(verified(bad, &keys)), "{}", &bad[..bad.len().min(30)]);
    }
    assert_eq!(Token::read(&good).unwrap().issuer(), Ok("https://idp.example.org"));
}

#[test]
fn a_set_of_keys_is_short_and_what_is_strange_in_it_is_left_out() {
    let rsa = Signer::rsa();
    let token = rsa.token(&json!({"alg": "RS256", "kid": "1"}), CLAIMS);
    let strange = [json!(1), json!({}), json!({"kty": "EC", "crv": "secp256k1"}), json!({"kty": "RSA"}), rsa.jwk("1")];
    assert_eq!(verified(&token, &strange), Ok(()));
    assert!(KeySet::parse(&published(&vec![rsa.jwk("1"); 101])).is_none());
    for bad in ["", "[]", "{}", r#"{"keys":1}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_none(), "{bad}");
    }
    // A token that names no key is tried with a few alone.
    let others: Vec<Value> = (0..8).map(|_| Signer::rsa().jwk("x")).chain([rsa.jwk("1")]).collect();
    assert_eq!(verified(&rsa.token(&json!({"alg": "RS256"}), CLAIMS), &others), Err(TokenError::BadSignature));
}
