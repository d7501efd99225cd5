//! SoftHSM 2: a PKCS#11 token in files.
//!
//! The library takes the place of its files from the environment of the process that loads it, so a test with tokens of its own runs in a
//! process of its own: [`in_own_process`].

use std::any::type_name;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The PKCS#11 library.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Names the file that tells the library where its tokens are.
const CONF_VARIABLE: &str = "SOFTHSM2_CONF";
/// So that a test does not take a developer's own tokens for its own.
const CONF_NAME: &str = "strongroom-testbed-softhsm2.conf";
const SO_PIN: &str = "12345678";

/// A directory of tokens.
pub struct SoftHsm {
    home: PathBuf,
    /// Of the process that made it, which removes it.
    _dir: Option<tempfile::TempDir>,
}

/// Runs `test`, the body of a test function, in a process of its own whose SoftHSM has no tokens yet.
///
/// The process is this test program again, with this one test alone. Its name is found in the type of `test`, so that must be a closure
/// written in the test function.
pub fn in_own_process<F: FnOnce(&SoftHsm)>(test: F) {
    if let Some(own) = SoftHsm::of_this_process() {
        return test(&own);
    }
    let name = test_name(type_name::<F>());
    let softhsm = SoftHsm::new();
    let program = std::env::current_exe().expect("the path of this test program");
    let output = Command::new(program).args(["--exact", &name, "--nocapture"]).env(CONF_VARIABLE, softhsm.conf()).output();
    let output = output.expect("this test program starts again");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let ran = output.status.success() && stdout.contains("test result: ok. 1 passed");
    assert!(ran, "{name} fails in its own process ({}):\n{stdout}\n{stderr}", output.status);
}

impl SoftHsm {
    /// A directory without tokens.
    pub fn new() -> Self {
        assert!(Path::new(MODULE).exists(), "{MODULE} is missing; install it with: tests/install-servers.sh");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let softhsm = Self { home: dir.path().to_owned(), _dir: Some(dir) };
        std::fs::create_dir(softhsm.tokens()).expect("a directory for tokens");
        let tokens = softhsm.tokens();
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            tokens.display()
        );
        std::fs::write(softhsm.conf(), conf).expect("the configuration is written");
        softhsm
    }

    fn of_this_process() -> Option<Self> {
        let conf = PathBuf::from(std::env::var_os(CONF_VARIABLE)?);
        (conf.file_name()? == CONF_NAME).then(|| Self { home: conf.with_file_name(""), _dir: None })
    }

    /// What the variable `SOFTHSM2_CONF` must be for a process that uses these tokens.
    pub fn conf(&self) -> PathBuf {
        self.home.join(CONF_NAME)
    }

    /// Makes a token. A library that is running already sees it when it starts the next time.
    pub fn add_token(&self, label: &str, pin: &str) {
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin];
        self.run("softhsm2-util", &arguments);
    }

    /// Sets the user PIN of a token anew, as its security officer can.
    pub fn reset_pin(&self, label: &str, pin: &str) {
        let arguments = [
            "--module",
            MODULE,
            "--token-label",
            label,
            "--login",
            "--login-type",
            "so",
            "--so-pin",
            SO_PIN,
            "--init-pin",
            "--new-pin",
            pin,
        ];
        self.run("pkcs11-tool", &arguments);
    }

    /// OpenSC's tool on a token, logged in.
    pub fn tool(&self, label: &str, pin: &str, arguments: &[&str]) -> String {
        self.run("pkcs11-tool", &[&["--module", MODULE, "--token-label", label, "--login", "--pin", pin], arguments].concat())
    }

    /// Takes all tokens away, as if they were pulled out.
    pub fn take_away(&self) {
        std::fs::rename(self.tokens(), self.home.join("away")).expect("the tokens are taken away");
        std::fs::create_dir(self.tokens()).expect("a directory for tokens");
    }

    /// Puts them in again.
    pub fn put_back(&self) {
        std::fs::remove_dir_all(self.tokens()).expect("the empty directory is removed");
        std::fs::rename(self.home.join("away"), self.tokens()).expect("the tokens are put back");
    }

    fn tokens(&self) -> PathBuf {
        self.home.join("tokens")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env(CONF_VARIABLE, self.conf()).output();
        let output = output.unwrap_or_else(|error| panic!("{program} does not start ({error}); install it with: tests/install-servers.sh"));
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}:\n{text}");
        text
    }
}

impl Default for SoftHsm {
    fn default() -> Self {
        Self::new()
    }
}

/// `program::a_test::{{closure}}` is the type of a closure in the test `a_test`.
fn test_name(closure: &str) -> String {
    let parts = closure.split("::").skip(1).take_while(|part| !part.starts_with('{'));
    parts.collect::<Vec<_>>().join("::")
}
