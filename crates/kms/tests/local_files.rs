//! The key directory: what is refused, what survives a crash, and what damage costs.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Home, context, file_names};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KeyState, KmsError, LocalConfig, LocalKms, MasterKeySource, NewKey};
use zeroize::Zeroizing;

const SPEC: DataKeySpec = DataKeySpec::Aes256;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_first_start_makes_a_private_directory_master_key_and_key_files() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "the default key").await.unwrap();
    assert_eq!(mode(&home.key_dir()), 0o700);
    assert_eq!(mode(home.master().parent().unwrap()), 0o700);
    assert_eq!(mode(&home.master()), 0o600);
    assert_eq!(mode(&home.key_file("default")), 0o600);
    assert_eq!(file_names(&home.key_dir()), [".lock", "default.key.json"]);
    assert_eq!(file_names(home.master().parent().unwrap()), ["master.key"]);
}

#[tokio::test]
async fn keys_with_all_their_versions_and_states_are_there_after_a_restart() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "the default key").await.unwrap();
    let first = kms.generate_data_key("default", SPEC, &context("a")).await.unwrap();
    kms.rotate_key("default").await.unwrap();
    let second = kms.generate_data_key("key/default", SPEC, &context("a")).await.unwrap();
    kms.create_key(NewKey { name: Some("gone".to_owned()), ..NewKey::default() }).await.unwrap();
    kms.delete_now("gone", "gone").await.unwrap();
    let before = kms.describe_key("default").await.unwrap();
    drop(kms);

    let kms = home.open().await;
    assert_eq!(kms.describe_key("default").await.unwrap(), before);
    assert_eq!(kms.ensure_key("default", "other words").await.unwrap(), before);
    for data_key in [first, second] {
        assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
    }
    assert_eq!(kms.describe_key("gone").await.unwrap().state, KeyState::Erased);
    assert!(matches!(kms.check_usable("gone").await, Err(KmsError::KeyErased(_))));
}

#[tokio::test]
async fn a_sealed_service_is_sealed_after_a_restart() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "").await.unwrap();
    kms.seal_service().await.unwrap();
    drop(kms);
    let kms = home.open().await;
    assert!(matches!(kms.check_usable("default").await, Err(KmsError::ServiceSealed)));
    assert_eq!(kms.describe_key("default").await.unwrap().state, KeyState::Enabled);
    kms.unseal_service().await.unwrap();
    drop(kms);
    assert_eq!(home.open().await.check_usable("default").await.unwrap(), "default");
}

#[tokio::test]
async fn loose_permissions_are_refused_with_the_chmod_to_run() {
    let home = Home::new();
    home.open().await.ensure_key("default", "").await.unwrap();
    for (path, right, loose) in [
        (home.key_dir(), 0o700, [0o750, 0o701, 0o770]),
        (home.key_file("default"), 0o600, [0o640, 0o604, 0o620]),
        (home.master(), 0o600, [0o640, 0o604, 0o620]),
    ] {
        for mode in loose {
            chmod(&path, mode);
            let text = home.open_error().await;
            let wanted = format!("{} is open to other users (mode {mode:04o}); run: chmod {right:o} '{}'", path.display(), path.display());
            assert_eq!(text, wanted);
        }
        chmod(&path, right);
        home.open().await;
    }
}

#[tokio::test]
async fn files_that_are_no_keys_are_refused_by_name() {
    let home = Home::new();
    home.open().await;
    let foreign = home.key_dir().join("default.key");
    fs::write(&foreign, "{}").unwrap();
    assert!(home.open_error().await.starts_with(&format!("{} is no Strongroom key file; move it out", foreign.display())));
    fs::remove_file(&foreign).unwrap();
    std::os::unix::fs::symlink(home.master(), home.key_file("linked")).unwrap();
    assert!(home.open_error().await.contains("linked.key.json is not a regular file"));
}

#[tokio::test]
async fn a_key_file_of_a_later_format_is_refused_and_left_alone() {
    let home = Home::new();
    home.open().await.ensure_key("default", "").await.unwrap();
    let later = fs::read_to_string(home.key_file("default")).unwrap().replace("\"version\": 1", "\"version\": 7");
    fs::write(home.key_file("default"), &later).unwrap();
    assert!(home.open_error().await.ends_with("default.key.json has format 7; start the newer Strongroom that wrote it"));
    assert_eq!(fs::read_to_string(home.key_file("default")).unwrap(), later);
}

#[tokio::test]
async fn a_second_server_on_the_directory_is_refused() {
    let home = Home::new();
    let first = home.open().await;
    assert!(home.open_error().await.contains("is in use by another server"));
    drop(first);
    home.open().await;
}

#[tokio::test]
async fn a_missing_master_key_is_never_replaced_while_keys_exist() {
    let home = Home::new();
    home.open().await.ensure_key("default", "").await.unwrap();
    let kept = fs::read(home.master()).unwrap();
    fs::remove_file(home.master()).unwrap();
    let text = home.open_error().await;
    assert!(text.contains("master.key is missing, but") && text.contains("holds 1 keys sealed under it; restore"), "{text}");
    assert!(!home.master().exists());
    fs::write(home.master(), kept).unwrap();
    chmod(&home.master(), 0o600);
    assert_eq!(home.open().await.check_usable("default").await.unwrap(), "default");
}

#[tokio::test]
async fn another_master_key_is_told_from_damage() {
    let home = Home::new();
    home.open().await.ensure_key("default", "").await.unwrap();
    fs::write(home.master(), [9; 32]).unwrap();
    assert!(home.open_error().await.ends_with("were sealed under another master key; start with the one they were made with"));
}

#[tokio::test]
async fn a_master_key_is_read_raw_or_in_base64_or_given_as_a_value() {
    let home = Home::new();
    let raw: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    fs::create_dir(home.master().parent().unwrap()).unwrap();
    fs::write(home.master(), raw).unwrap();
    chmod(&home.master(), 0o600);
    home.open().await.ensure_key("default", "").await.unwrap();

    fs::write(home.master(), "  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n").unwrap();
    assert_eq!(home.open().await.check_usable("default").await.unwrap(), "default");

    let config = LocalConfig { key_dir: home.key_dir(), master: MasterKeySource::Value(Zeroizing::new(raw)) };
    assert_eq!(LocalKms::open(config).await.unwrap().check_usable("default").await.unwrap(), "default");

    for broken in ["", "AAEC", "not base64 at all, and longer than thirty-two bytes", &"A".repeat(300)] {
        fs::write(home.master(), broken).unwrap();
        assert!(home.open_error().await.contains("master.key"), "{broken}");
    }
}

#[tokio::test]
async fn a_master_key_may_lie_among_the_keys() {
    let home = Home::new();
    let config = || LocalConfig { key_dir: home.key_dir(), master: MasterKeySource::File(home.key_dir().join("master.key")) };
    LocalKms::open(config()).await.unwrap().ensure_key("default", "").await.unwrap();
    assert_eq!(LocalKms::open(config()).await.unwrap().check_usable("default").await.unwrap(), "default");
}

/// Power fails while a rotation writes its file: half of it lies under the temporary name, and the rename
/// never came. The key must be as before, and nothing of the attempt may stay.
#[tokio::test]
async fn a_crash_before_the_rename_leaves_the_key_as_it_was() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "").await.unwrap();
    let data_key = kms.generate_data_key("default", SPEC, &context("a")).await.unwrap();
    drop(kms);
    let file = fs::read(home.key_file("default")).unwrap();
    fs::write(home.key_dir().join(".tmp-default"), &file[..file.len() / 2]).unwrap();
    fs::write(home.key_dir().join(".tmp-never-made"), "").unwrap();

    let kms = home.open().await;
    assert_eq!(file_names(&home.key_dir()), [".lock", "default.key.json"]);
    assert_eq!(kms.describe_key("default").await.unwrap().current_version, 1);
    assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
    kms.rotate_key("default").await.unwrap();
}

/// The first start dies between making the master key and the first key, once before the link, once after.
#[tokio::test]
async fn a_crash_during_the_first_start_is_taken_up_where_it_stopped() {
    let home = Home::new();
    fs::create_dir(home.master().parent().unwrap()).unwrap();
    fs::write(home.master().with_file_name(".tmp-master.key"), "half").unwrap();
    drop(home.open().await);
    let made = fs::read(home.master()).unwrap();
    home.open().await.ensure_key("default", "").await.unwrap();
    assert_eq!(fs::read(home.master()).unwrap(), made);
    assert_eq!(file_names(home.master().parent().unwrap()), ["master.key"]);
}

#[tokio::test]
async fn a_damaged_key_file_costs_its_own_key_only() {
    let home = Home::new();
    let kms = home.open().await;
    for key_id in ["cut", "empty", "flipped", "good", "renamed"] {
        kms.ensure_key(key_id, "").await.unwrap();
    }
    drop(kms);
    let file = fs::read(home.key_file("cut")).unwrap();
    fs::write(home.key_file("cut"), &file[..file.len() / 2]).unwrap();
    fs::write(home.key_file("empty"), "").unwrap();
    let flipped = fs::read_to_string(home.key_file("flipped")).unwrap();
    let at = flipped.find("\"sealed\": \"").unwrap() + 30;
    let other = if &flipped[at..=at] == "A" { "B" } else { "A" };
    fs::write(home.key_file("flipped"), format!("{}{other}{}", &flipped[..at], &flipped[at + 1..])).unwrap();
    fs::copy(home.key_file("good"), home.key_file("renamed")).unwrap();

    let kms = home.open().await;
    assert_eq!(kms.check_usable("good").await.unwrap(), "good");
    for (key_id, reason) in [
        ("cut", "it is cut short or no key file"),
        ("empty", "it is cut short or no key file"),
        ("flipped", "it was altered"),
        ("renamed", "it holds another key than its name says"),
    ] {
        let wanted =
            format!("the key file {} cannot be opened: {reason}; restore it from a backup and restart", home.key_file(key_id).display());
        let damage = fs::read(home.key_file(key_id)).unwrap();
        for answer in [
            kms.check_usable(key_id).await.map(drop),
            kms.describe_key(key_id).await.map(drop),
            kms.enable_key(key_id).await.map(drop),
            kms.ensure_key(key_id, "").await.map(drop),
        ] {
            assert!(matches!(&answer, Err(KmsError::Broken(text)) if *text == wanted), "{answer:?}");
        }
        let again = NewKey { name: Some(key_id.to_owned()), ..NewKey::default() };
        assert!(matches!(kms.create_key(again).await, Err(KmsError::KeyExists(_))));
        assert_eq!(fs::read(home.key_file(key_id)).unwrap(), damage, "a damaged file is left for the operator");
    }
    let listed: Vec<String> = kms.list_keys(None, 10).await.unwrap().keys.into_iter().map(|key| key.key_id).collect();
    assert_eq!(listed, ["good"]);
}

/// The file system refuses the temporary file, as a full or failing disk does.
#[tokio::test]
async fn a_change_that_cannot_be_written_changes_nothing() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "").await.unwrap();
    let before = kms.describe_key("default").await.unwrap();
    let obstacle = home.key_dir().join(".tmp-default");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(kms.rotate_key("default").await, Err(KmsError::Unavailable(_))));
    assert!(matches!(kms.disable_key("default").await, Err(KmsError::Unavailable(_))));
    assert_eq!(kms.describe_key("default").await.unwrap(), before);
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(kms.rotate_key("default").await.unwrap().current_version, 2);
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_is_made_whole() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "").await.unwrap();
    {
        let mut rotation = std::pin::pin!(kms.rotate_key("default"));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(rotation.as_mut().poll(cx).is_ready())).await;
        assert!(!polled, "the rotation is under way");
    }
    // Changes queue, so this one returns after the abandoned one has ended.
    let in_memory = kms.update_description("default", "after").await.unwrap();
    assert_eq!(in_memory.current_version, 2);
    drop(kms);
    assert_eq!(home.open().await.describe_key("default").await.unwrap(), in_memory);
}

#[tokio::test]
async fn an_erased_key_leaves_none_of_its_former_file_behind() {
    let home = Home::new();
    let kms = home.open().await;
    kms.create_key(NewKey { name: Some("gone".to_owned()), ..NewKey::default() }).await.unwrap();
    // A link keeps the former file in sight after its name is taken over.
    let former = home.key_dir().join(".former");
    fs::hard_link(home.key_file("gone"), &former).unwrap();
    let len = fs::metadata(&former).unwrap().len();
    kms.delete_now("gone", "gone").await.unwrap();
    assert_eq!(fs::read(&former).unwrap(), vec![0; usize::try_from(len).unwrap()]);
}

#[tokio::test]
async fn the_stores_own_keys_are_used_but_not_touched() {
    let home = Home::new();
    let kms = home.open().await;
    let own = "strongroom-store";
    kms.ensure_key(own, "wraps the store key").await.unwrap();
    let data_key = kms.generate_data_key(own, SPEC, &context("a")).await.unwrap();
    let arn = "arn:aws:kms:eu-central-1:1:key/strongroom-store";
    for answer in [
        kms.create_key(NewKey { name: Some("strongroom-mine".to_owned()), ..NewKey::default() }).await,
        kms.disable_key(own).await,
        kms.disable_key(arn).await,
        kms.seal_key(arn).await,
        kms.schedule_deletion(arn, 7).await,
        kms.delete_now(arn, own).await,
    ] {
        assert!(matches!(answer, Err(KmsError::InvalidArgument(_))), "{answer:?}");
    }
    kms.rotate_key(own).await.unwrap();
    assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
}

#[tokio::test]
async fn a_wrapped_key_of_another_backend_or_version_is_rejected() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "").await.unwrap();
    kms.rotate_key("default").await.unwrap();
    let wrapped = kms.generate_data_key("default", SPEC, &context("a")).await.unwrap().wrapped;
    let mut others = vec![wrapped.clone(); 4];
    others[0].backend = "vault".to_owned();
    for (other, version) in others[1..].iter_mut().zip([0, 1, 3]) {
        other.key_version = version;
    }
    for other in others {
        assert!(matches!(kms.unwrap_data_key(&other, &context("a")).await, Err(KmsError::Rejected)), "{other:?}");
    }
    assert!(kms.unwrap_data_key(&wrapped, &context("a")).await.is_ok());
}

#[tokio::test]
async fn a_key_id_that_leaves_the_directory_is_refused() {
    let home = Home::new();
    let kms = home.open().await;
    for key_id in ["../outside", "a/b", ".hidden", "", "key/default"] {
        assert!(matches!(kms.ensure_key(key_id, "").await, Err(KmsError::InvalidArgument(_))), "{key_id}");
    }
    assert_eq!(file_names(home.0.path()), ["keys", "secret"]);
}

#[tokio::test]
async fn tags_and_descriptions_have_bounds() {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("default", "").await.unwrap();
    let tag = |name: String, value: String| [(name, value)].into();
    for tags in [tag(String::new(), String::new()), tag("n".repeat(129), String::new()), tag("n".to_owned(), "v".repeat(257))] {
        assert!(matches!(kms.tag("default", tags).await, Err(KmsError::InvalidArgument(_))));
    }
    kms.tag("default", (0..50).map(|n| ("ñ".repeat(126) + &format!("{n:02}"), "\u{1}".repeat(256))).collect()).await.unwrap();
    assert!(matches!(kms.tag("default", tag("one-more".to_owned(), String::new())).await, Err(KmsError::InvalidArgument(_))));
    assert!(matches!(kms.update_description("default", &"d".repeat(8193)).await, Err(KmsError::InvalidArgument(_))));
    let full = kms.update_description("default", &"\u{1}".repeat(8192)).await.unwrap();
    drop(kms);
    assert_eq!(home.open().await.describe_key("default").await.unwrap(), full);
}

/// The directory opens, or does not, in time: code that hangs fails the test.
fn open_in_time(home: &Home) -> Result<(), KmsError> {
    let config = home.config();
    let (answer, answered) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opened = runtime.block_on(LocalKms::open(config)).map(drop);
        runtime.shutdown_background();
        answer.send(opened)
    });
    answered.recv_timeout(std::time::Duration::from_secs(20)).expect("it hangs")
}

#[tokio::test]
async fn a_fifo_or_a_link_in_the_place_of_any_file_of_the_key_directory_is_refused_at_once() {
    for name in [".lock", ".master-change", "default.key.json", "master.key"] {
        for with_link in [false, true] {
            let home = Home::new();
            home.open().await.ensure_key("default", "").await.unwrap();
            let place = if name == "master.key" { home.master() } else { home.key_dir().join(name) };
            let _ = fs::remove_file(&place);
            let pipe = if with_link { home.key_dir().join(".pipe") } else { place.clone() };
            assert!(std::process::Command::new("mkfifo").arg("-m600").arg(&pipe).status().unwrap().success());
            if with_link {
                std::os::unix::fs::symlink(&pipe, &place).unwrap();
            }
            let opened = open_in_time(&home);
            assert!(matches!(opened, Err(KmsError::Broken(_))), "{name}, a link: {with_link}: {opened:?}");
        }
    }
}
