//! The bytes of a data key wrapped on a KMIP server, format 1. Specified in `docs/kms/kmip.md`.

use strongroom_kms::{Binding, DataKeySpec, EncryptionContext, IvBudget, KmsError};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::client::Client;
use crate::fault::Fault;
use crate::operations::{Encrypted, IV_LEN, TAG_LEN, decrypt, encrypt};

const DOMAIN: &[u8] = b"strongroom/kms/kmip/data-key/v1";
const PROBE: &[u8] = b"strongroom/kms/kmip/probe";
const OTHER_PROBE: &[u8] = b"strongroom/kms/kmip/another probe";
const FORMAT: u8 = 1;
/// Format, key version.
const PREFIX_LEN: usize = 1 + 4;

/// A version of a key on the server, and what a data key under it is bound to.
pub(crate) struct Wrapper<'a> {
    pub(crate) client: &'a Client,
    pub(crate) uid: &'a str,
    pub(crate) key_id: &'a str,
    pub(crate) key_version: u32,
    pub(crate) context: &'a EncryptionContext,
    pub(crate) budget: &'a IvBudget,
    pub(crate) binds_context: &'a OnceCell<()>,
}

impl Wrapper<'_> {
    /// Has the server encrypt a data key.
    pub(crate) async fn wrap(&self, data_key: &[u8]) -> Result<Vec<u8>, Fault> {
        self.check_binds_context().await?;
        let Encrypted { iv, ciphertext, tag } = self.encrypt(&self.aad(data_key.len())?, data_key).await?;
        Ok([&[FORMAT], &self.key_version.to_be_bytes()[..], &iv, &ciphertext, &tag].concat())
    }

    /// Has the server decrypt it again. [`KmsError::Rejected`] for bytes that [`Self::wrap`] cannot have made; whether the server's refusal
    /// of others means the same, [`Self::works`] tells.
    pub(crate) async fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let sealed = parse(wrapped, self.key_version).ok_or(KmsError::Rejected)?;
        let len = sealed.ciphertext.len();
        self.check_binds_context().await?;
        let data_key = decrypt(self.client, self.uid, &sealed, &self.aad(len)?).await?;
        if data_key.len() == len { Ok(data_key) } else { Err(KmsError::Rejected.into()) }
    }

    /// Whether the server opens with this key what it sealed with it just now, so that a fault is the ciphertext's and not the server's.
    pub(crate) async fn works(&self) -> bool {
        let Ok(sealed) = self.encrypt(PROBE, &[0; 32]).await else { return false };
        decrypt(self.client, self.uid, &sealed, PROBE).await.is_ok_and(|opened| opened.as_slice() == [0; 32])
    }

    /// Once per server: that it refuses other additional data than it encrypted with. Data keys wrapped without would open in any context.
    async fn check_binds_context(&self) -> Result<(), Fault> {
        let check = || async {
            let sealed = self.encrypt(PROBE, &[0; 32]).await?;
            decrypt(self.client, self.uid, &sealed, PROBE).await?;
            match decrypt(self.client, self.uid, &sealed, OTHER_PROBE).await {
                Err(Fault::Refused { .. }) => Ok(()),
                Err(fault) => Err(fault),
                Ok(_) => {
                    let text =
                        "the KMIP server ignores Authenticated Encryption Additional Data, which KMIP 1.4 asks for: it cannot be used";
                    Err(KmsError::Broken(text.to_owned()).into())
                }
            }
        };
        self.binds_context.get_or_try_init(check).await.map(drop)
    }

    async fn encrypt(&self, aad: &[u8], plaintext: &[u8]) -> Result<Encrypted, Fault> {
        self.budget.spend(self.key_id, self.key_version)?;
        let mut iv = [0; IV_LEN];
        fill_random(&mut iv)?;
        encrypt(self.client, self.uid, iv, aad, plaintext).await
    }

    fn aad(&self, data_key_len: usize) -> Result<Vec<u8>, KmsError> {
        let Self { key_id, key_version, context, .. } = *self;
        Binding { domain: DOMAIN, key_id, key_version, context }.aad(data_key_len)
    }
}

fn parse(wrapped: &[u8], key_version: u32) -> Option<Encrypted> {
    let (prefix, rest) = wrapped.split_at_checked(PREFIX_LEN)?;
    let (iv, rest) = rest.split_first_chunk::<IV_LEN>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>()?;
    let is_ours = prefix[0] == FORMAT && prefix[1..] == key_version.to_be_bytes();
    let is_spec = [DataKeySpec::Aes256, DataKeySpec::TwoAes256].iter().any(|spec| spec.len_bytes() == ciphertext.len());
    (is_ours && is_spec).then(|| Encrypted { iv: *iv, ciphertext: ciphertext.to_vec(), tag: *tag })
}

/// Fills a buffer from the system's generator.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<(), KmsError> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| KmsError::Broken("the system's random number generator failed".to_owned()))
}
