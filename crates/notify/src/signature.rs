//! Signatures of requests. Source: the Standard Webhooks specification, version 1: HMAC-SHA256 over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Secrets are shown with this in front, so that they are known as such where they leak.
const PREFIX: &str = "whsec_";
/// In bytes. Source: the specification, "Signature scheme".
const SECRET_LEN: std::ops::RangeInclusive<usize> = 24..=64;
/// While a secret is exchanged there are two.
const MAX_SECRETS: usize = 4;

/// The secrets of a target. Each signs every request, so that a receiver may know the old one or the new one.
pub(crate) struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads secrets, one in each line; says what is wrong, and nothing of what stands there.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() || lines.len() > MAX_SECRETS {
            return Err(format!("must hold one secret, or up to {MAX_SECRETS}, one in each line: {HOW}"));
        }
        lines
            .into_iter()
            .enumerate()
            .map(|(at, line)| key(line).ok_or_else(|| format!("line {} holds no secret: {HOW}", at + 1)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value of `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let of_key = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            for piece in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                context.update(piece);
            }
            format!("v1,{}", STANDARD.encode(context.sign()))
        };
        self.0.iter().map(of_key).collect::<Vec<_>>().join(" ")
    }
}

const HOW: &str = "make one with: echo whsec_$(openssl rand -base64 32)";

fn key(line: &str) -> Option<hmac::Key> {
    let secret = Zeroizing::new(STANDARD.decode(line.strip_prefix(PREFIX)?).ok()?);
    SECRET_LEN.contains(&secret.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_published_example_has_its_signature() {
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_both_sign() {
        let (one, two) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
        let both = Secrets::parse(&format!("whsec_{one}\n\n whsec_{two} \n")).unwrap().sign("a", "1", b"x");
        let each: Vec<_> =
            [one, two].iter().map(|secret| Secrets::parse(&format!("whsec_{secret}")).unwrap().sign("a", "1", b"x")).collect();
        assert_eq!(both, each.join(" "));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for text in ["", "\n \n", "hunter2", "whsec_", "whsec_hunter2!", &short, &long, &"whsec_x\n".repeat(5)] {
            let error = Secrets::parse(text).err().unwrap();
            assert!(error.contains("openssl rand") && !error.contains("hunter2") && !error.contains("BwcH"), "{error}");
        }
    }
}
