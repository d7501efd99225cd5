//! The program as an operator meets it: start, stop, lock, secrets, configuration.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{Failure, Home, Server, mode, strongroom};
use rustix::process::Signal;

#[test]
fn a_second_server_on_the_same_directory_is_refused_by_the_firsts_process_id() {
    let home = Home::new();
    let first = home.start(&[]);
    let refused = home.fails(&[]);
    assert_eq!(refused.code, Some(1));
    let expected = format!("the data directory {} is in use by another server (process {})", home.text("data"), first.process());
    assert!(refused.error.contains(&expected), "{}", refused.error);
    assert_eq!(first.get(first.s3, "/health/ready").0, 200);
}

#[test]
fn a_directory_is_free_again_after_a_server_was_killed() {
    let home = Home::new();
    let first = home.start(&[]);
    first.signal(Signal::KILL);
    drop(first);
    assert_eq!(home.start(&[]).stop(), Some(0));
}

#[test]
fn a_flag_wins_over_the_environment_the_environment_over_the_file_and_the_file_over_the_default() {
    let home = Home::new();
    fs::write(home.path("s.toml"), "region = 'file'\n").unwrap();
    let region = |flags: &[&str], variable: Option<&str>| {
        let mut command = home.serve(flags);
        command.envs(variable.map(|value| ("STRONGROOM_REGION", value)));
        let server = Server::start(&mut command, Path::new(""));
        let region = server.banner.split_once("AWS_DEFAULT_REGION=").unwrap().1.lines().next().unwrap().to_owned();
        assert_eq!(server.stop(), Some(0));
        region
    };
    let file = home.text("s.toml");
    assert_eq!(region(&[], None), "us-east-1");
    assert_eq!(region(&["--config", &file], None), "file");
    assert_eq!(region(&["--config", &file], Some("environment")), "environment");
    assert_eq!(region(&["--config", &file, "--region", "flag"], Some("environment")), "flag");
}

#[test]
fn an_unknown_key_variable_or_flag_is_wrong_usage() {
    let home = Home::new();
    fs::write(home.path("s.toml"), "[kms]\nkeydir = 'x'\n").unwrap();
    let refused = home.fails(&["--config", &home.text("s.toml")]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.error.contains("s.toml: kms.keydir is not an option; did you mean kms.key_dir?"), "{}", refused.error);
    let refused = Failure::of(home.serve(&[]).env("STRONGROOM_KMS_KEYDIR", "x"));
    assert_eq!(refused.code, Some(2));
    assert!(refused.error.contains("did you mean STRONGROOM_KMS_KEY_DIR?"), "{}", refused.error);
    assert_eq!(home.fails(&["--kms-keydir", "x"]).code, Some(2));
    assert!(!home.path("data").exists(), "nothing is made by a start that is refused");
}

#[test]
fn keys_inside_the_data_directory_are_refused() {
    let home = Home::new();
    for (flag, name) in [("--secrets-dir", "data/secrets"), ("--kms-key-dir", "data/kms"), ("--kms-master-key-file", "data/master")] {
        let refused = home.fails(&[flag, &home.text(name)]);
        assert_eq!(refused.code, Some(1), "{flag}");
        assert!(refused.error.contains("lies inside the data directory"), "{flag}: {}", refused.error);
        assert!(!home.path(name).exists(), "{flag}");
    }
}

#[test]
fn only_the_owner_may_read_secrets_and_data() {
    let home = Home::new();
    let server = home.start(&[]);
    for dir in ["data", "data.secrets", "data.secrets/kms", "data.secrets/tls"] {
        assert_eq!(mode(&home.path(dir)), 0o700, "{dir}");
    }
    for file in ["root-credentials", "kms-master.key", "tls/ca.key", "tls/server.key"] {
        assert_eq!(mode(&home.path("data.secrets").join(file)), 0o600, "{file}");
    }
    for entry in fs::read_dir(home.path("data")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    drop(server);
}

#[test]
fn a_secrets_directory_that_others_may_read_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path("data.secrets")).unwrap();
    fs::set_permissions(home.path("data.secrets"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let refused = home.fails(&[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.error.contains("chmod 700"), "{}", refused.error);
}

#[test]
fn root_credentials_are_made_once_and_never_printed() {
    let home = Home::new();
    let server = home.start(&[]);
    let path = home.path("data.secrets/root-credentials");
    let made = fs::read_to_string(&path).unwrap();
    let secret = made.lines().find_map(|line| line.strip_prefix("secret_key = \"")).unwrap().trim_end_matches('"');
    assert_eq!(secret.len(), 52);
    assert!(server.banner.contains(path.to_str().unwrap()), "{}", server.banner);
    assert!(!server.banner.contains(secret));
    assert_eq!(server.stop(), Some(0));
    let server = home.start(&[]);
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    assert!(!server.banner.contains(secret));
}

#[test]
fn configured_root_credentials_make_no_file() {
    let home = Home::new();
    let mut command = home.serve(&["--access-key", "AKROOT"]);
    command.env("STRONGROOM_SECRET_KEY", "a-secret-of-my-own");
    let server = Server::start(&mut command, Path::new(""));
    assert!(
        server.banner.contains("export AWS_ACCESS_KEY_ID=AKROOT AWS_SECRET_ACCESS_KEY=\"$STRONGROOM_SECRET_KEY\""),
        "{}",
        server.banner
    );
    assert!(!server.banner.contains("a-secret-of-my-own"));
    assert!(!home.path("data.secrets/root-credentials").exists());
}

#[test]
fn an_address_in_use_is_named() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = Failure::of(&mut strongroom(&["serve", &home.text("data"), "--address", &address, "--admin-address", "127.0.0.1:0"]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.error.contains(&format!("cannot listen on {address}")), "{}", refused.error);
}

#[test]
fn a_user_with_an_unknown_policy_is_named() {
    let home = Home::new();
    let users = "[[users]]\nname='ann'\naccess_key='AKANN'\nsecret_key='a long secret'\npolicies=['no-such']\n";
    home.write("s.toml", users, 0o600);
    let refused = home.fails(&["--config", &home.text("s.toml")]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.error.contains("the user ann is not acceptable"), "{}", refused.error);
    assert!(!refused.error.contains("a long secret"), "{}", refused.error);
}

#[test]
fn help_lists_every_documented_option_with_its_variable() {
    let help = strongroom(&["serve", "--help"]).output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let document = include_str!("../../../docs/configuration.md");
    let (options, _) = document.split_once("## Users").unwrap();
    let rows: Vec<_> = options.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).collect();
    assert!(rows.len() > 30, "{rows:?}");
    for (key, row) in rows.into_iter().filter(|(key, _)| !["DATA_DIR", "--config"].contains(key)) {
        let variable = format!("STRONGROOM_{}", key.replace('.', "_").to_uppercase());
        assert!(help.contains(&variable), "{variable} is not in the help");
        let flag = format!("--{} <", key.replace(['.', '_'], "-"));
        // A secret is no flag, and the document says so.
        assert_eq!(help.contains(&flag), !row.contains("In the environment or the file only"), "{flag}");
    }
    for word in ["[DATA_DIR]", "--config <FILE>", "Examples:", "127.0.0.1:9000"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn both_spellings_tell_the_version() {
    let expected = format!("strongroom {}\n", env!("CARGO_PKG_VERSION"));
    for argument in ["version", "--version"] {
        assert_eq!(String::from_utf8(strongroom(&[argument]).output().unwrap().stdout).unwrap(), expected);
    }
}

#[test]
fn the_process_gives_no_memory_away() {
    let home = Home::new();
    let server = home.start(&[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.process())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}
