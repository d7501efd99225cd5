//! Files with secrets in them that others may read.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Failure, Home, Server, wait_until};

fn chmod(home: &Home, name: &str, mode: u32) {
    fs::set_permissions(home.path(name), PermissionsExt::from_mode(mode)).unwrap();
}

/// The refusal names the file, its mode, and the very command that helps.
fn is_told(refused: &Failure, code: i32, home: &Home, name: &str, mode: u32, wanted: &str) {
    assert_eq!(refused.code, Some(code), "{}", refused.error);
    let expected = format!("{} is open to others (mode {mode:o}): chmod {wanted} {}", home.text(name), home.text(name));
    assert!(refused.error.contains(&expected), "{}", refused.error);
}

#[test]
fn a_configuration_with_a_secret_in_it_that_others_may_read_is_refused() {
    let home = Home::new();
    let root = "access_key = 'AKROOT'\nsecret_key = 'a long secret'\n";
    let user = "[[users]]\nname = 'ann'\naccess_key = 'AKANN'\nsecret_key = 'a long secret'\n";
    for text in [root, user] {
        for mode in [0o640, 0o604, 0o644, 0o620] {
            home.write("s.toml", text, mode);
            let refused = home.fails(&["--config", &home.text("s.toml")]);
            is_told(&refused, 2, &home, "s.toml", mode, "600");
            assert!(!refused.error.contains("a long secret"), "{}", refused.error);
        }
        chmod(&home, "s.toml", 0o600);
        assert_eq!(home.start(&["--config", &home.text("s.toml")]).stop(), Some(0));
    }
}

#[test]
fn a_configuration_without_secrets_may_be_read_by_all() {
    let home = Home::new();
    home.write("s.toml", "region = 'eu'\naccess_key = 'AKROOT'\n", 0o644);
    let mut command = home.serve(&["--config", &home.text("s.toml")]);
    command.env("STRONGROOM_SECRET_KEY", "a secret of the environment");
    assert_eq!(Server::start(&mut command, Path::new("")).stop(), Some(0));
}

#[test]
fn a_file_with_a_users_secret_that_others_may_read_is_refused() {
    let home = Home::new();
    let file = home.text("ann.secret");
    let user = format!("[[users]]\nname = 'ann'\naccess_key = 'AKANN'\nsecret_key_file = '{file}'\n");
    home.write("s.toml", &user, 0o644);
    home.write("ann.secret", "a long secret\n", 0o440);
    is_told(&home.fails(&["--config", &home.text("s.toml")]), 2, &home, "ann.secret", 0o440, "600");
    chmod(&home, "ann.secret", 0o400);
    assert_eq!(home.start(&["--config", &home.text("s.toml")]).stop(), Some(0));
}

/// A directory of the last version, or one that the operator made: the server does not close it by itself, and does not serve from it.
#[test]
fn an_open_data_directory_is_refused_as_an_open_secrets_directory_is() {
    for name in ["data", "data.secrets", "log"] {
        let home = Home::new();
        fs::create_dir(home.path(name)).unwrap();
        let flags = ["--audit-dir".to_owned(), home.text("log")];
        let flags = flags.each_ref().map(String::as_str);
        for mode in [0o755, 0o750, 0o701, 0o710, 0o770, 0o702] {
            chmod(&home, name, mode);
            is_told(&home.fails(&flags), 1, &home, name, mode, "700");
            assert!(fs::read_dir(home.path(name)).unwrap().next().is_none() || name == "log", "nothing was written into it");
        }
        chmod(&home, name, 0o700);
        assert_eq!(home.start(&flags).stop(), Some(0));
        assert_eq!(common::mode(&home.path(name)), 0o700);
    }
}

#[test]
fn a_store_that_was_opened_to_others_is_refused_and_serves_again_when_it_is_closed() {
    let home = Home::new();
    assert_eq!(home.start(&[]).stop(), Some(0));
    assert_eq!(common::mode(&home.path("data")), 0o700, "a directory that the server makes is private");
    chmod(&home, "data", 0o755);
    is_told(&home.fails(&[]), 1, &home, "data", 0o755, "700");
    chmod(&home, "data", 0o700);
    assert_eq!(home.start(&[]).stop(), Some(0));
}

/// Writes a self-signed pair for localhost, the key in this mode.
fn write_pair(home: &Home, mode: u32) -> [String; 4] {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    home.write("cert.pem", &pair.cert.pem(), 0o644);
    home.write("key.pem", &pair.signing_key.serialize_pem(), mode);
    ["--tls-cert".to_owned(), home.text("cert.pem"), "--tls-key".to_owned(), home.text("key.pem")]
}

#[test]
fn a_tls_key_that_everybody_may_read_is_refused_and_one_of_a_group_is_not() {
    let home = Home::new();
    let flags = write_pair(&home, 0o644);
    let flags = flags.each_ref().map(String::as_str);
    is_told(&home.fails(&flags), 1, &home, "key.pem", 0o644, "o=");
    for mode in [0o640, 0o600, 0o400] {
        chmod(&home, "key.pem", mode);
        assert_eq!(home.start(&flags).stop(), Some(0), "{mode:o}");
    }
}

#[test]
fn a_new_tls_key_that_everybody_may_read_is_taken_once_it_is_closed_to_them() {
    let home = Home::new();
    let flags = write_pair(&home, 0o600);
    let mut command = home.serve(&flags.each_ref().map(String::as_str));
    command.stderr(fs::File::create(home.path("log")).unwrap());
    let server = Server::start(&mut command, Path::new(""));
    let serves_the_new_one = || common::tls(server.s3, &home.path("cert.pem")).is_ok();
    assert!(serves_the_new_one());
    write_pair(&home, 0o644);
    wait_until("the new pair is found bad", || fs::read_to_string(home.path("log")).unwrap().contains("chmod o="));
    assert!(!serves_the_new_one());
    chmod(&home, "key.pem", 0o640);
    wait_until("the new pair is served", serves_the_new_one);
}
