//! What is printed when the server is ready: where things are, and commands to paste.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::Origin;
use crate::shell::quoted;

/// What the text tells. No secret is among it.
pub(crate) struct Banner<'a> {
    pub(crate) s3: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) data_dir: &'a Path,
    /// `None`: the certificate was given, and clients are taken to trust it.
    pub(crate) ca: Option<&'a Path>,
    pub(crate) access_key: &'a str,
    /// Where the root identity's secret key is.
    pub(crate) credentials: &'a Origin,
    /// Whether that is the file which the server made.
    pub(crate) are_generated: bool,
    /// `None`: SSE-S3 and SSE-KMS are not offered.
    pub(crate) kms: Option<(&'a Path, &'a str)>,
    pub(crate) region: &'a str,
}

impl Banner<'_> {
    /// Prints the text to standard output.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.text().as_bytes())?;
        out.flush()
    }

    fn text(&self) -> String {
        let mut text = format!("Strongroom {} is ready.\n\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<18}{value}");
        };
        line("S3 endpoint:", &format!("https://{}", reachable(self.s3)));
        line("", &format!("http://{} (the same port; SSE-C is refused on it)", reachable(self.s3)));
        line("Admin endpoint:", &format!("https://{}", reachable(self.admin)));
        line("Data directory:", &self.data_dir.display().to_string());
        if let Some(ca) = self.ca {
            line("CA certificate:", &ca.display().to_string());
        }
        line("Root credentials:", &self.credentials.to_string());
        match self.kms {
            Some((key_dir, key_id)) => line("KMS keys:", &format!("{} (default key: {key_id})", key_dir.display())),
            None => line("KMS keys:", "none; only SSE-C is offered (kms.backend = \"none\")"),
        }
        text + "\nPaste into a shell:\n\n" + &self.commands() + "\nCtrl-C stops the server.\n"
    }

    fn commands(&self) -> String {
        let trust = self.ca.map(|ca| format!("export AWS_CA_BUNDLE={}\n", quoted(ca))).unwrap_or_default();
        let endpoint = format!("export AWS_ENDPOINT_URL=https://{} AWS_DEFAULT_REGION={}\n\n", reachable(self.s3), self.region);
        let bucket = "aws s3 mb s3://demo\necho 'top secret' > hello.txt\n\n";
        let kms = self.kms.map(|(_, key_id)| kms_commands(key_id)).unwrap_or_default();
        [&self.credential_commands(), &trust, &endpoint, bucket, &kms, SSE_C_COMMANDS].concat()
    }

    /// Commands that fetch the secret from where it is, so that it is not printed here.
    fn credential_commands(&self) -> String {
        let file = match self.credentials {
            Origin::File(path) if self.are_generated => quoted(path),
            Origin::Variable(name) => {
                return format!("export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=\"${name}\"\n", self.access_key);
            }
            _ => {
                return format!(
                    "export AWS_ACCESS_KEY_ID={}\nread -rsp 'Secret key: ' AWS_SECRET_ACCESS_KEY && export AWS_SECRET_ACCESS_KEY\n",
                    self.access_key
                );
            }
        };
        let read = |key: &str| format!("\"$(sed -n 's/^{key} = \"\\(.*\\)\"$/\\1/p' {file})\"");
        format!("export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n", read("access_key"), read("secret_key"))
    }
}

fn kms_commands(key_id: &str) -> String {
    format!(
        "# SSE-S3: the server's own key\n\
         aws s3 cp hello.txt s3://demo/sse-s3.txt --sse AES256\n\n\
         # SSE-KMS: a key of the KMS\n\
         aws s3 cp hello.txt s3://demo/sse-kms.txt --sse aws:kms --sse-kms-key-id {key_id}\n\
         aws s3api head-object --bucket demo --key sse-kms.txt\n\n"
    )
}

const SSE_C_COMMANDS: &str = "\
# SSE-C: a key of your own, which the server forgets after each request
(umask 077 && openssl rand -out sse-c.key 32)
aws s3api put-object --bucket demo --key sse-c.txt --body hello.txt --sse-customer-algorithm AES256 --sse-customer-key fileb://sse-c.key
aws s3api get-object --bucket demo --key sse-c.txt --sse-customer-algorithm AES256 --sse-customer-key fileb://sse-c.key hello-again.txt
";

/// The address as a client on this machine reaches it.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(credentials: &Origin, are_generated: bool) -> String {
        let banner = Banner {
            s3: SocketAddr::from(([0, 0, 0, 0], 9000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9001)),
            data_dir: Path::new("/srv/it's data"),
            ca: Some(Path::new("/srv/it's data.secrets/tls/ca.pem")),
            access_key: "AKROOT",
            credentials,
            are_generated,
            kms: Some((Path::new("/srv/kms"), "default")),
            region: "us-east-1",
        };
        banner.text()
    }

    #[test]
    fn paths_are_quoted_for_the_shell() {
        let text = text(&Origin::File("/srv/a b/root-credentials".into()), true);
        assert!(text.contains(r"export AWS_CA_BUNDLE='/srv/it'\''s data.secrets/tls/ca.pem'"), "{text}");
        assert!(
            text.contains(r#"export AWS_SECRET_ACCESS_KEY="$(sed -n 's/^secret_key = "\(.*\)"$/\1/p' '/srv/a b/root-credentials')""#),
            "{text}"
        );
        assert!(text.contains("AWS_ENDPOINT_URL=https://localhost:9000 "), "{text}");
    }

    #[test]
    fn a_configured_secret_is_asked_for_or_taken_from_where_it_is() {
        let variable = text(&Origin::Variable("STRONGROOM_SECRET_KEY".to_owned()), false);
        assert!(variable.contains("export AWS_ACCESS_KEY_ID=AKROOT AWS_SECRET_ACCESS_KEY=\"$STRONGROOM_SECRET_KEY\"\n"), "{variable}");
        let file = text(&Origin::File("/etc/strongroom.toml".into()), false);
        assert!(file.contains("read -rsp 'Secret key: ' AWS_SECRET_ACCESS_KEY"), "{file}");
    }
}
