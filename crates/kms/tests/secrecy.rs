//! No key ever shows: not in errors, Debug output, logs, nor in clear on the disk.
#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::{Home, context};
use strongroom_kms::{
    BundleKey, CacheConfig, CachedKms, DataKeySpec, KeyLifecycle, KeyService, LocalConfig, LocalKms, MasterKeySource, MayGo, NewKey,
    RestoreMode, Secret, WrappedKey,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse battery staple";
const WRONG: &str = "correct horse battery stable";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The forms in which 32 secret bytes might show: any 8 of them raw, in hex, in base64, or as a Debug list.
fn shows(haystack: &[u8], secret: &[u8]) -> bool {
    let has = |needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    let hex = secret.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    });
    let base64 = base64(secret);
    let list = format!("{:?}", &secret[..4]);
    has(&secret[..8])
        || has(&hex.as_bytes()[..16])
        || has(&hex.to_uppercase().as_bytes()[..16])
        || has(&base64.as_bytes()[..16])
        || has(list.trim_end_matches(']').as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |chunk: &[u8]| chunk.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    let letter = |value: u32, shift: u32| char::from(ALPHABET[(value >> shift & 63) as usize]);
    bytes.chunks_exact(3).flat_map(|chunk| [18, 12, 6, 0].map(|shift| letter(value(chunk), shift))).collect()
}

fn canary(seed: u8) -> [u8; 32] {
    std::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(u8::try_from(at).unwrap().wrapping_mul(77)))
}

fn new_key(name: &str) -> NewKey {
    NewKey { name: Some(name.to_owned()), ..NewKey::default() }
}

fn config(home: &Home, master: [u8; 32]) -> LocalConfig {
    LocalConfig { key_dir: home.key_dir(), master: MasterKeySource::Value(Zeroizing::new(master)) }
}

#[tokio::test]
async fn no_secret_shows_in_errors_debug_output_logs_or_files() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).init();
    let (home, master, own) = (Home::new(), canary(1), canary(2));
    let mut said = format!("{:?} {:?}", config(&home, master), MasterKeySource::File(home.master()));
    let mut secrets = vec![master.to_vec(), own.to_vec(), canary(3).to_vec()];

    let local = Arc::new(LocalKms::open(config(&home, master)).await.unwrap());
    let kms = CachedKms::new(Arc::clone(&local), CacheConfig::default());
    let imported = kms.import_key(new_key("own"), Zeroizing::new(own.to_vec())).await.unwrap();
    write!(said, "{imported:?}").unwrap();
    let data_key = kms.generate_data_key("own", DataKeySpec::TwoAes256, &context("a")).await.unwrap();
    secrets.push(data_key.plaintext.to_vec());
    let opened = kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap();
    assert_eq!(opened, data_key.plaintext);
    write!(said, "{:?} {:?} {:?}", data_key.wrapped, kms.summary(), kms.list_keys(None, 10).await).unwrap();

    let bundle = local.backup(BundleKey::Passphrase(Secret::new(PASSPHRASE))).await.unwrap().bundle;
    for key in [BundleKey::Passphrase(Secret::new(WRONG)), BundleKey::Key(Zeroizing::new(canary(3)))] {
        said += &complain(local.restore(bundle.clone(), key, RestoreMode::DryRun).await);
    }
    drop(local);
    let by_passphrase = |text: &str| LocalConfig {
        key_dir: home.0.path().join("by-passphrase"),
        master: MasterKeySource::Passphrase(Zeroizing::new(text.to_owned())),
    };
    write!(said, "{:?}", by_passphrase(PASSPHRASE)).unwrap();
    drop(LocalKms::open(by_passphrase(PASSPHRASE)).await.unwrap());
    said += &complain(LocalKms::open(by_passphrase(WRONG)).await);

    let mut altered = data_key.wrapped.clone();
    altered.ciphertext[60] ^= 1;
    let unknown = WrappedKey { key_id: "none".to_owned(), ..data_key.wrapped.clone() };
    said += &complain(kms.unwrap_data_key(&altered, &context("a")).await);
    said += &complain(kms.unwrap_data_key(&data_key.wrapped, &context("b")).await);
    said += &complain(kms.unwrap_data_key(&unknown, &context("b")).await);
    said += &complain(kms.import_key(new_key("own"), Zeroizing::new(canary(3).to_vec())).await);
    said += &complain(kms.import_key(new_key("short"), Zeroizing::new(canary(3)[..31].to_vec())).await);
    said += &complain(kms.delete_now("own", "other").await);
    kms.schedule_deletion("own", 7).await.unwrap();
    said += &complain(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await);
    let files = fs::read(home.key_file("own")).unwrap();
    kms.reap_deleted(OffsetDateTime::now_utc() + Duration::days(8), &MayGo::always()).await.unwrap();
    said += &complain(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await);
    drop(kms);

    // Wrong master, damaged key file, leftover: what is logged and answered when things are broken.
    let wrong = LocalKms::open(config(&home, canary(3))).await;
    said += &complain(wrong);
    fs::write(home.key_dir().join(".tmp-own"), own).unwrap();
    fs::write(home.key_file("own"), &files[..files.len() / 2]).unwrap();
    let kms = LocalKms::open(config(&home, master)).await.unwrap();
    said += &complain(kms.check_usable("own").await);
    fs::create_dir(home.master().parent().unwrap()).unwrap();
    drop(kms);
    fs::remove_file(home.key_file("own")).unwrap();
    drop(home.open().await);

    let logged = log.0.lock().unwrap().clone();
    let logged_text = String::from_utf8_lossy(&logged);
    for expected in ["a key file cannot be opened", "removing what an interrupted write", "created a new master key"] {
        assert!(logged_text.contains(expected), "{expected} is not in: {logged_text}");
    }
    assert!(said.contains("Value(redacted)") && said.contains("KeyErased") && said.contains("another master key"), "{said}");
    for secret in &secrets {
        assert!(!shows(said.as_bytes(), secret), "{said}");
        assert!(!shows(&logged, secret), "{logged_text}");
        assert!(!shows(&files, secret));
        assert!(!shows(&bundle, secret));
    }
    for passphrase in [PASSPHRASE, WRONG] {
        assert!(!said.contains(passphrase) && !logged_text.contains(passphrase));
    }
}

#[test]
fn the_search_finds_a_secret_in_each_form() {
    let secret = canary(2);
    for text in [format!("{secret:?}"), format!("{secret:02x?}").replace(", ", ""), base64(&secret)] {
        assert!(shows(text.as_bytes(), &secret), "{text}");
    }
    assert!(shows(&secret, &secret));
    assert!(!shows(format!("{:?}", canary(3)).as_bytes(), &secret));
}

/// Display and Debug of the error a call must end in.
fn complain<T>(result: Result<T, strongroom_kms::KmsError>) -> String {
    match result {
        Ok(_) => panic!("the call must fail"),
        Err(error) => format!("{error} {error:?}\n"),
    }
}
