//! The decision, over every combination of what it depends on.
#![allow(clippy::unwrap_used)]

use crate::bucket::{BucketEncryption, BucketEncryptionAlgorithm};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use strongroom_seal::Mode;
use zeroize::Zeroizing;

use super::{CustomerKey, Decision, EncryptionType, MinimumMode, check_encryption_rule, check_read_headers, decide, rules::WriteRules};
use crate::{
    Error,
    api::{CustomerKeyHeaders, DefaultEncryption, EncryptionRule, SseHeaders},
};

const KEY: [u8; 32] = [5; 32];

fn customer() -> CustomerKeyHeaders {
    CustomerKeyHeaders {
        algorithm: Some("AES256".into()),
        key: Some(Zeroizing::new(STANDARD.encode(KEY))),
        key_md5: Some(STANDARD.encode(Md5::digest(KEY))),
    }
}

/// What a decision comes down to: mode, key, context and bucket key, or the error.
type Outcome = Result<(Mode, Option<String>, Option<String>, bool), String>;

fn outcome(result: Result<Decision, Error>) -> Outcome {
    let decision = result.map_err(|error| format!("{error:?}"))?;
    let mode = decision.mode();
    Ok(match decision {
        Decision::Kms(choice) => {
            assert_eq!(choice.dsse, mode == Mode::DsseKms);
            (mode, choice.key_id, choice.context, choice.bucket_key)
        }
        Decision::Store | Decision::SseS3 { .. } | Decision::Customer(_) => (mode, None, None, false),
    })
}

/// The table of the specification, written down anew: first the customer's headers, then the algorithm, then the defaults.
fn expected(headers: &SseHeaders, secure: bool, default: Option<&BucketEncryption>, encrypt_by_default: bool) -> Outcome {
    let (key, context, bucket_key) = (headers.kms_key_id.as_deref(), headers.kms_context.as_deref(), headers.bucket_key_enabled);
    let kms_headers = key.is_some() || context.is_some() || bucket_key == Some(true);
    if headers.customer.any() {
        return match (secure, headers.algorithm.is_some() || kms_headers) {
            (false, _) => Err("CustomerKeyInsecure".into()),
            (true, true) => Err("SseConflict".into()),
            (true, false) => Ok((Mode::SseC, None, None, false)),
        };
    }
    let stray = |bucket_key: bool| {
        let name = match (key, context) {
            (Some(_), _) => "aws-kms-key-id",
            (None, Some(_)) => "context",
            (None, None) if bucket_key => "bucket-key-enabled",
            (None, None) => return None,
        };
        Some(format!("KmsHeaderWithoutKms(\"x-amz-server-side-encryption-{name}\")"))
    };
    let mode = match headers.algorithm.as_deref() {
        Some("AES256") => Mode::SseS3,
        Some("aws:kms") => Mode::SseKms,
        Some("aws:kms:dsse") => Mode::DsseKms,
        Some(_) => return Err("SseAlgorithmUnknown".into()),
        None => match default.map(|rule| rule.algorithm) {
            Some(BucketEncryptionAlgorithm::SseS3) => Mode::SseS3,
            Some(BucketEncryptionAlgorithm::SseKms) => Mode::SseKms,
            Some(BucketEncryptionAlgorithm::DsseKms) => Mode::DsseKms,
            None if encrypt_by_default => Mode::SseS3,
            None => Mode::Store,
        },
    };
    let takes_bucket_key = matches!(mode, Mode::SseKms | Mode::DsseKms);
    if (headers.algorithm.is_none() || !takes_bucket_key)
        && let Some(error) = stray(bucket_key == Some(true) && !takes_bucket_key)
    {
        return Err(error);
    }
    if !takes_bucket_key {
        return Ok((mode, None, None, false));
    }
    if context == Some("not base64") {
        return Err("KmsContextInvalid".into());
    }
    if mode == Mode::DsseKms && bucket_key == Some(true) {
        return Err("InvalidArgument(\"A bucket key cannot be used with aws:kms:dsse.\")".into());
    }
    let rule = default.filter(|rule| rule.algorithm != BucketEncryptionAlgorithm::SseS3);
    let key = key.filter(|key| !key.is_empty()).map(str::to_owned).or_else(|| rule?.kms_key_id.clone());
    let bucket_key = mode == Mode::SseKms && bucket_key.unwrap_or_else(|| rule.is_some_and(|rule| rule.bucket_key_enabled));
    Ok((mode, key, context.map(str::to_owned), bucket_key))
}

fn defaults() -> Vec<Option<BucketEncryption>> {
    let mut defaults = vec![None];
    for algorithm in [BucketEncryptionAlgorithm::SseS3, BucketEncryptionAlgorithm::SseKms, BucketEncryptionAlgorithm::DsseKms] {
        for kms_key_id in [None, Some("of-bucket".to_owned())] {
            for bucket_key_enabled in [false, true] {
                defaults.push(Some(BucketEncryption { algorithm, kms_key_id: kms_key_id.clone(), bucket_key_enabled }));
            }
        }
    }
    defaults
}

#[test]
fn every_combination_of_headers_and_defaults_is_decided_as_specified() {
    let context = STANDARD.encode(r#"{"a":"b"}"#);
    let (mut count, mut modes) = (0, std::collections::BTreeMap::new());
    for with_customer in [false, true] {
        for algorithm in [None, Some("AES256"), Some("aws:kms"), Some("aws:kms:dsse"), Some("aes256"), Some("")] {
            for key_id in [None, Some(""), Some("of-client")] {
                for kms_context in [None, Some(context.as_str()), Some("not base64")] {
                    for bucket_key_enabled in [None, Some(false), Some(true)] {
                        for secure in [false, true] {
                            for default in &defaults() {
                                for encrypt_by_default in [false, true] {
                                    let headers = SseHeaders {
                                        algorithm: algorithm.map(str::to_owned),
                                        kms_key_id: key_id.map(str::to_owned),
                                        kms_context: kms_context.map(str::to_owned),
                                        bucket_key_enabled,
                                        customer: if with_customer { customer() } else { CustomerKeyHeaders::default() },
                                    };
                                    let rules = WriteRules {
                                        default: default.as_ref(),
                                        encrypt_by_default,
                                        blocked: &[],
                                        minimum: MinimumMode::None,
                                    };
                                    let decided = outcome(decide(&headers, secure, &rules));
                                    let wanted = expected(&headers, secure, default.as_ref(), encrypt_by_default);
                                    let said = (
                                        with_customer,
                                        algorithm,
                                        key_id,
                                        kms_context,
                                        bucket_key_enabled,
                                        secure,
                                        default,
                                        encrypt_by_default,
                                    );
                                    assert_eq!(decided, wanted, "{said:?}");
                                    count += 1;
                                    *modes.entry(decided.map_or(u8::MAX, |(mode, ..)| mode.as_u8())).or_insert(0) += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(count, 2 * 6 * 3 * 3 * 3 * 2 * 13 * 2);
    assert_eq!(modes.len(), 6, "every mode and an error came up: {modes:?}");
}

fn error(headers: &CustomerKeyHeaders, secure: bool) -> String {
    format!("{:?}", CustomerKey::from_headers(headers, secure).err().unwrap())
}

#[test]
fn the_customer_headers_are_checked_in_order() {
    let key = |key: &str| Some(Zeroizing::new(key.to_owned()));
    let mut headers = CustomerKeyHeaders { algorithm: None, key: key("not base64"), key_md5: Some("wrong".into()) };
    assert_eq!(error(&headers, false), "CustomerKeyInsecure", "insecure comes first");
    let missing = |name: &str| format!("CustomerHeaderMissing(\"x-amz-server-side-encryption-customer-{name}\")");
    assert_eq!(error(&headers, true), missing("algorithm"));
    for wrong in ["", "aes256", "AES128", "aws:kms"] {
        headers.algorithm = Some(wrong.into());
        assert_eq!(error(&headers, true), "CustomerAlgorithmInvalid");
    }
    headers.algorithm = Some("AES256".into());
    headers.key = None;
    assert_eq!(error(&headers, true), missing("key"));
    headers.key_md5 = None;
    assert_eq!(error(&headers, true), missing("key"));
    headers.key = key("not base64");
    assert_eq!(error(&headers, true), missing("key-MD5"));
    headers.key_md5 = Some("wrong".into());
    assert_eq!(error(&headers, true), "CustomerKeyInvalid");
    for len in [0, 16, 31, 33, 64] {
        headers.key = key(&STANDARD.encode(vec![5; len]));
        assert_eq!(error(&headers, true), "CustomerKeyInvalid", "{len} bytes");
    }
    headers.key = customer().key;
    assert_eq!(error(&headers, true), "CustomerKeyMd5Mismatch");
    headers.key_md5 = Some(STANDARD.encode(Md5::digest([6; 32])));
    assert_eq!(error(&headers, true), "CustomerKeyMd5Mismatch");
    headers.key_md5 = customer().key_md5;
    let parsed = CustomerKey::from_headers(&headers, true).unwrap().unwrap();
    assert_eq!(Some(parsed.md5()), headers.key_md5.as_deref());
    assert!(CustomerKey::from_headers(&CustomerKeyHeaders::default(), false).unwrap().is_none());
}

#[test]
fn the_copy_source_headers_are_named_in_their_errors() {
    let headers = CustomerKeyHeaders { key: None, ..customer() };
    let error = CustomerKey::from_copy_source(&headers, true).err().unwrap();
    assert!(matches!(error, Error::CustomerHeaderMissing("x-amz-copy-source-server-side-encryption-customer-key")));
}

#[test]
fn a_check_value_knows_its_key_and_is_never_the_same_twice() {
    let parse = |byte: u8| {
        let key = [byte; 32];
        let headers = CustomerKeyHeaders {
            key: Some(Zeroizing::new(STANDARD.encode(key))),
            key_md5: Some(STANDARD.encode(Md5::digest(key))),
            ..customer()
        };
        CustomerKey::from_headers(&headers, true).unwrap().unwrap()
    };
    let (check, again) = (parse(1).new_check(), parse(1).new_check());
    assert!(parse(1).matches(&check) && parse(1).matches(&again) && !parse(2).matches(&check));
    assert_ne!(check, again);
    let broken = crate::record::CustomerKeyCheck { salt: "zz".into(), ..check };
    assert!(!parse(1).matches(&broken));
}

#[test]
fn a_read_takes_the_customer_headers_and_no_others() {
    assert!(check_read_headers(&SseHeaders::default(), false).unwrap().is_none());
    let key = SseHeaders { customer: customer(), ..SseHeaders::default() };
    assert!(check_read_headers(&key, true).unwrap().is_some());
    assert!(matches!(check_read_headers(&key, false), Err(Error::CustomerKeyInsecure)));
    for headers in [
        SseHeaders { algorithm: Some("AES256".into()), ..SseHeaders::default() },
        SseHeaders { kms_key_id: Some("key".into()), ..SseHeaders::default() },
        SseHeaders { kms_context: Some("e30=".into()), ..SseHeaders::default() },
        SseHeaders { bucket_key_enabled: Some(true), ..SseHeaders::default() },
        SseHeaders { algorithm: Some("nonsense".into()), customer: customer(), ..SseHeaders::default() },
    ] {
        assert!(matches!(check_read_headers(&headers, true), Err(Error::SseHeaderNotAllowed)));
    }
}

#[test]
fn a_context_is_base64_of_a_json_object_of_strings() {
    let parse = |json: &str| super::context::parse_client_context(&STANDARD.encode(json));
    assert_eq!(parse("{}").unwrap().len(), 0);
    assert_eq!(parse(r#"{"a":"b","c":""}"#).unwrap().len(), 2);
    for json in ["", "[]", "null", r#""text""#, r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":"b"} x"#] {
        assert!(matches!(parse(json), Err(Error::KmsContextInvalid)), "{json}");
    }
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(8 * 1024));
    assert!(matches!(parse(&long), Err(Error::KmsContextInvalid)));
    let bound = super::context::object_context(Some(&STANDARD.encode(r#"{"a":"b"}"#)), "bucket", "key").unwrap();
    assert_eq!(bound.0.get("aws:s3:arn").map(String::as_str), Some("arn:aws:s3:::bucket/key"));
    assert_eq!(bound.0.len(), 2);
}

#[test]
fn a_default_encryption_must_make_sense() {
    let rule = |algorithm: &str, key: Option<&str>| {
        let rule = DefaultEncryption { algorithm: algorithm.into(), kms_key_id: key.map(str::to_owned), bucket_key_enabled: true };
        check_encryption_rule(rule.into(), MinimumMode::None).map(|(default, _)| default.unwrap())
    };
    assert_eq!(rule("AES256", None).unwrap().algorithm, BucketEncryptionAlgorithm::SseS3);
    assert_eq!(rule("aws:kms", Some("key")).unwrap().kms_key_id.as_deref(), Some("key"));
    assert_eq!(rule("aws:kms:dsse", None).unwrap().algorithm, BucketEncryptionAlgorithm::DsseKms);
    assert!(matches!(rule("AES256", Some("key")), Err(Error::MalformedXml(_))));
    assert!(matches!(rule("", None), Err(Error::MalformedXml(_))));
    assert!(matches!(rule("aes256", None), Err(Error::MalformedXml(_))));
}

#[test]
fn a_block_refuses_customer_keys_and_nothing_else() {
    let rules = |blocked| WriteRules { default: None, encrypt_by_default: true, blocked, minimum: MinimumMode::None };
    let of_customer = SseHeaders { customer: customer(), ..SseHeaders::default() };
    let blocked = [EncryptionType::SseC];
    assert!(matches!(decide(&of_customer, true, &rules(&blocked)), Err(Error::CustomerKeysBlocked)));
    assert_eq!(decide(&of_customer, true, &rules(&[])).unwrap().mode(), Mode::SseC);
    for algorithm in [None, Some("AES256"), Some("aws:kms"), Some("aws:kms:dsse")] {
        let headers = SseHeaders { algorithm: algorithm.map(str::to_owned), ..SseHeaders::default() };
        decide(&headers, true, &rules(&blocked)).unwrap();
    }
    // What is wrong with the headers themselves is said first, as where nothing is blocked.
    assert!(matches!(decide(&of_customer, false, &rules(&blocked)), Err(Error::CustomerKeyInsecure)));
}

#[test]
fn blocked_types_are_one_of_those_that_s3_has() {
    let blocked = |names: &[&str]| {
        let rule = EncryptionRule { default: None, blocked: Some(names.iter().map(|&name| name.to_owned()).collect()) };
        check_encryption_rule(rule, MinimumMode::None).map(|(default, blocked)| (default, blocked.unwrap()))
    };
    assert_eq!(blocked(&["SSE-C"]).unwrap(), (None, vec![EncryptionType::SseC]));
    assert_eq!(blocked(&["NONE"]).unwrap(), (None, Vec::new()));
    for wrong in [&[][..], &["sse-c"], &["SSE-S3"], &["SSE-KMS"], &[""], &["SSE-C", "NONE"], &["SSE-C", "SSE-C"], &["NONE", "NONE"]] {
        assert!(matches!(blocked(wrong), Err(Error::MalformedXml(_))), "{wrong:?}");
    }
    assert!(matches!(
        check_encryption_rule(EncryptionRule { default: None, blocked: None }, MinimumMode::None),
        Err(Error::MalformedXml(_))
    ));
}

#[test]
fn the_minimum_refuses_every_weaker_choice_and_lifts_only_what_nobody_chose() {
    use MinimumMode::{DsseKms, None as Nothing, SseKms, SseS3};
    let default = |algorithm| BucketEncryption { algorithm, kms_key_id: None, bucket_key_enabled: false };
    let defaults = [
        None,
        Some((default(BucketEncryptionAlgorithm::SseS3), Mode::SseS3, 1)),
        Some((default(BucketEncryptionAlgorithm::SseKms), Mode::SseKms, 2)),
        Some((default(BucketEncryptionAlgorithm::DsseKms), Mode::DsseKms, 3)),
    ];
    // How strong each choice is, written down anew.
    let chosen = [("AES256", Mode::SseS3, 1), ("aws:kms", Mode::SseKms, 2), ("aws:kms:dsse", Mode::DsseKms, 3)];
    for (least, minimum) in [(0, Nothing), (1, SseS3), (2, SseKms), (3, DsseKms)] {
        for encrypt_by_default in [false, true] {
            for default in &defaults {
                let rules = WriteRules { default: default.as_ref().map(|found| &found.0), encrypt_by_default, blocked: &[], minimum };
                let check = |headers: &SseHeaders, mode: Mode, strength: u8| {
                    let decided = decide(headers, true, &rules).map(|decision| decision.mode());
                    if strength >= least {
                        assert_eq!(decided.unwrap(), mode);
                    } else {
                        let refused = decided.unwrap_err();
                        assert!(matches!(refused, Error::EncryptionBelowMinimum { mode: m, minimum: n } if (m, n) == (mode, minimum)));
                    }
                };
                for (algorithm, mode, strength) in chosen {
                    check(&SseHeaders { algorithm: Some(algorithm.into()), ..SseHeaders::default() }, mode, strength);
                }
                check(&SseHeaders { customer: customer(), ..SseHeaders::default() }, Mode::SseC, 1);
                let (mode, strength) = match (default, encrypt_by_default, minimum) {
                    (Some((_, mode, strength)), _, _) => (*mode, *strength),
                    (None, false, _) => (Mode::Store, 0),
                    (None, true, Nothing | SseS3) => (Mode::SseS3, 1),
                    (None, true, SseKms) => (Mode::SseKms, 2),
                    (None, true, DsseKms) => (Mode::DsseKms, 3),
                };
                check(&SseHeaders::default(), mode, strength);
            }
        }
    }
}

#[test]
fn a_default_below_the_minimum_is_refused_and_says_what_would_do() {
    let rule = |algorithm: &str| DefaultEncryption { algorithm: algorithm.into(), kms_key_id: None, bucket_key_enabled: false }.into();
    let refused = check_encryption_rule(rule("AES256"), MinimumMode::SseKms).err().unwrap().to_string();
    let text = "This store takes no weaker encryption than SSE-KMS (sse.minimum_mode), and SSE-S3 is weaker. \
                Send x-amz-server-side-encryption: aws:kms, or give the bucket such a default.";
    assert_eq!(refused, text);
    check_encryption_rule(rule("aws:kms"), MinimumMode::SseKms).unwrap();
    check_encryption_rule(rule("aws:kms:dsse"), MinimumMode::SseKms).unwrap();
    let none = EncryptionRule { default: None, blocked: Some(vec!["NONE".into()]) };
    check_encryption_rule(none, MinimumMode::DsseKms).unwrap();
}
