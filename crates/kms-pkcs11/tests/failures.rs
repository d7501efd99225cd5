//! What goes wrong with a token, made to happen.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LABEL, PIN, config, context, create, open, with_token};
use cryptoki::context::Pkcs11;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KmsError, NewKey, Secret};
use strongroom_kms_pkcs11::{Config, Pkcs11Kms};
use strongroom_testbed::softhsm::MODULE;

fn with_pin(pin: &str) -> Config {
    Config { pin: Some(Secret::new(pin)), ..config() }
}

#[test]
fn a_wrong_pin_is_denied_and_offered_once() {
    with_token!(async |softhsm| {
        let kms = open(with_pin("314159"));
        let first = kms.check_usable("a").await.err().unwrap();
        assert!(matches!(&first, KmsError::Denied(text) if text.contains("C_Login answered PinIncorrect")), "{first}");
        assert!(!first.to_string().contains("314159"), "{first}");
        // Were it offered again, it would now be right.
        softhsm.reset_pin(LABEL, "314159");
        let second = kms.check_usable("a").await.err().unwrap();
        assert!(matches!(&second, KmsError::Denied(text) if text.contains("the token refused it before")), "{second}");
        let configured_anew = open(with_pin("314159"));
        assert!(matches!(configured_anew.check_usable("a").await, Err(KmsError::KeyNotFound(_))));
    });
}

#[test]
fn a_pin_file_with_the_right_pin_ends_the_refusal() {
    with_token!(async |softhsm| {
        let pin_file = softhsm.conf().with_file_name("pin");
        std::fs::write(&pin_file, "999999\n").unwrap();
        let kms = open(Config { pin: None, pin_file: Some(pin_file.clone()), ..config() });
        for _twice in 0..2 {
            assert!(matches!(kms.create_key(NewKey::default()).await, Err(KmsError::Denied(_))));
        }
        std::fs::write(&pin_file, format!("{PIN}\n")).unwrap();
        create(&kms, "a").await;
        assert_eq!(kms.check_usable("a").await.unwrap(), "a");
    });
}

#[test]
fn a_second_backend_with_a_wrong_pin_does_not_ride_on_the_first_ones_login() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        let (right, wrong) = (open(config()), open(with_pin("314159")));
        create(&right, "a").await;
        let data_key = right.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
        assert!(matches!(wrong.check_usable("a").await, Err(KmsError::Denied(_))));
        assert!(right.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
        drop(wrong);
        assert_eq!(right.check_usable("a").await.unwrap(), "a");
    });
}

#[test]
fn a_backend_with_the_changed_pin_takes_the_login_over() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        let former = open(config());
        create(&former, "a").await;
        change_pin(PIN, "161803");
        let new = open(with_pin("161803"));
        assert_eq!(new.check_usable("a").await.unwrap(), "a");
        assert_eq!(former.check_usable("a").await.unwrap(), "a", "the login is the process's");
    });
}

/// In this process: SoftHSM does not notice in one process that another changed a PIN.
fn change_pin(old: &str, new: &str) {
    let library = Pkcs11::new(MODULE).unwrap();
    let is_ours = |slot: &Slot| library.get_token_info(*slot).unwrap().label() == LABEL;
    let slot = library.get_slots_with_token().unwrap().into_iter().find(is_ours).unwrap();
    library.open_rw_session(slot).unwrap().set_pin(&AuthPin::from(old), &AuthPin::from(new)).unwrap();
}

#[test]
fn a_missing_library_is_unavailable_by_its_path() {
    let kms = open(Config { module: "/nonexistent/libpkcs11.so".into(), ..config() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(kms.check_usable("a")).err().unwrap();
    assert!(
        matches!(&error, KmsError::Unavailable(text) if text.starts_with("the PKCS#11 library /nonexistent/libpkcs11.so: ")),
        "{error}"
    );
}

#[test]
fn a_missing_token_is_unavailable_and_used_once_it_is_there() {
    with_token!(async |softhsm| {
        let kms = open(Config { token_label: Some("later".to_owned()), ..config() });
        let error = kms.check_usable("a").await.err().unwrap();
        let names_both = |text: &str| text.contains("no token is labelled \"later\"") && text.contains(LABEL);
        assert!(matches!(&error, KmsError::Unavailable(text) if names_both(text)), "{error}");
        softhsm.add_token("later", PIN);
        create(&kms, "a").await;
        assert_eq!(kms.check_usable("a").await.unwrap(), "a");
    });
}

#[test]
fn a_token_that_was_away_is_used_again_when_it_is_back() {
    with_token!(async |softhsm| {
        let kms = open(config());
        create(&kms, "a").await;
        let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
        softhsm.take_away();
        let error = kms.unwrap_data_key(&data_key.wrapped, &context()).await.err().unwrap();
        assert!(matches!(error, KmsError::Unavailable(_)), "{error}");
        let error = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.err().unwrap();
        assert!(matches!(error, KmsError::Unavailable(_)), "{error}");
        assert!(matches!(kms.list_keys(None, 10).await, Err(KmsError::Unavailable(_))), "an absent token is not an empty one");
        assert!(matches!(kms.create_key(NewKey::default()).await, Err(KmsError::Unavailable(_))));
        softhsm.put_back();
        assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
    });
}

#[test]
fn a_key_deleted_behind_the_servers_back_is_not_found() {
    with_token!(async |softhsm| {
        let kms = open(config());
        create(&kms, "a").await;
        let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
        softhsm.tool(LABEL, PIN, &["--delete-object", "--type", "secrkey", "--label", "a"]);
        for answer in [kms.unwrap_data_key(&data_key.wrapped, &context()).await.err(), kms.check_usable("a").await.err()] {
            assert!(matches!(answer, Some(KmsError::KeyNotFound(ref id)) if id == "a"), "{answer:?}");
        }
    });
}

#[test]
fn a_version_deleted_behind_the_servers_back_is_rejected_and_the_others_open() {
    with_token!(async |softhsm| {
        let kms = open(config());
        create(&kms, "a").await;
        let old = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
        kms.rotate_key("a").await.unwrap();
        let new = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
        softhsm.tool(LABEL, PIN, &["--delete-object", "--type", "secrkey", "--label", "a", "--id", "00000001"]);
        assert!(matches!(kms.unwrap_data_key(&old.wrapped, &context()).await, Err(KmsError::Rejected)));
        assert!(kms.unwrap_data_key(&new.wrapped, &context()).await.unwrap() == new.plaintext);
    });
}

#[test]
fn a_library_that_was_ended_underneath_starts_again() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        let kms = open(config());
        create(&kms, "a").await;
        Pkcs11::new(MODULE).unwrap().finalize().unwrap();
        assert!(matches!(kms.check_usable("a").await, Err(KmsError::Unavailable(_))));
        assert_eq!(kms.check_usable("a").await.unwrap(), "a");
    });
}

#[test]
fn a_seal_and_a_new_start_log_in_again() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        for round in 0..5 {
            let kms = open(config());
            if round == 0 {
                create(&kms, "a").await;
            }
            assert_eq!(kms.check_usable("a").await.unwrap(), "a");
        }
    });
}

#[test]
fn mistakes_in_the_configuration_name_their_field() {
    for (mistake, field) in [
        (Config { module: "libpkcs11.so".into(), ..config() }, "module"),
        (Config { slot: Some(1), ..config() }, "token_label"),
        (Config { token_label: None, ..config() }, "token_label"),
        (Config { token_label: Some("x".repeat(33)), ..config() }, "token_label"),
        (Config { pin: None, ..config() }, "pin"),
        (Config { pin_file: Some("/p".into()), ..config() }, "pin"),
        (with_pin(""), "pin"),
        (Config { key_prefix: "a b".to_owned(), ..config() }, "key_prefix"),
        (Config { max_sessions: 0, ..config() }, "max_sessions"),
    ] {
        let Err(KmsError::InvalidArgument(text)) = Pkcs11Kms::new("pkcs11", mistake) else { panic!("{field}") };
        assert!(text.contains(field), "{text}");
    }
    let unknown = serde_json::from_str::<Config>(r#"{"module": "/x", "token_label": "a", "pin": "1", "pins": 1}"#);
    assert!(unknown.err().unwrap().to_string().contains("unknown field `pins`"));
}
