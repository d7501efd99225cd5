//! KMIP's operations, as far as they are needed. Source: KMIP 1.4, 4.

use strongroom_kms::KmsError;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::client::Client;
use crate::fault::Fault;
use crate::ttlv::{Item, Tag, Value};

/// Length of an initialisation vector in bytes.
pub(crate) const IV_LEN: usize = 12;
/// Length of a tag in bytes.
pub(crate) const TAG_LEN: usize = 16;

const SYMMETRIC_KEY: u32 = 2;
const AES: u32 = 3;
const KEY_BITS: i32 = 256;
const GCM: u32 = 9;
const RAW: u32 = 1;
const UNINTERPRETED_TEXT: u32 = 1;
/// Encrypt and Decrypt.
const USAGE_MASK: i32 = 0x4 | 0x8;
const CESSATION_OF_OPERATION: u32 = 6;

/// What a server can be asked for, with its number. Source: KMIP 1.4, 9.1.3.2.27.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create = 0x01,
    Register = 0x03,
    Locate = 0x08,
    GetAttributes = 0x0B,
    Activate = 0x12,
    Revoke = 0x13,
    Destroy = 0x14,
    Encrypt = 0x1F,
    Decrypt = 0x20,
}

impl Operation {
    /// Whether doing it twice is as good as once.
    pub(crate) fn is_repeatable(self) -> bool {
        matches!(self, Self::Locate | Self::GetAttributes | Self::Encrypt | Self::Decrypt)
    }
}

/// The state of an object. Source: KMIP 1.4, 3.22.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    PreActive,
    Active,
    /// Deactivated or compromised.
    Revoked,
    Destroyed,
}

/// What is known of an object.
pub(crate) struct Attributes {
    pub(crate) names: Vec<String>,
    pub(crate) state: State,
    pub(crate) created: OffsetDateTime,
}

/// By what objects are located.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    Name(&'a str),
    Group(&'a str),
    /// All AES keys.
    Algorithm,
}

/// What an encryption gives.
pub(crate) struct Encrypted {
    pub(crate) iv: [u8; IV_LEN],
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: [u8; TAG_LEN],
}

/// Has the server make a key of this name in this group; its unique identifier. The key is not active yet.
pub(crate) async fn create(client: &Client, name: &str, group: &str) -> Result<String, Fault> {
    let mut attributes = vec![
        attribute("Cryptographic Algorithm", |tag| Item::enumeration(tag, AES)),
        attribute("Cryptographic Length", |tag| Item::integer(tag, KEY_BITS)),
    ];
    attributes.extend(key_attributes(name, group));
    let payload = vec![Item::enumeration(Tag::OBJECT_TYPE, SYMMETRIC_KEY), Item::structure(Tag::TEMPLATE_ATTRIBUTE, attributes)];
    unique_identifier(&client.call(Operation::Create, payload).await?)
}

/// Hands the server key material of this name in this group; its unique identifier. The key is not active yet.
pub(crate) async fn register(client: &Client, name: &str, group: &str, material: &Zeroizing<Vec<u8>>) -> Result<String, Fault> {
    let key_block = vec![
        Item::enumeration(Tag::KEY_FORMAT_TYPE, RAW),
        Item::structure(Tag::KEY_VALUE, vec![Item::bytes(Tag::KEY_MATERIAL, material)]),
        Item::enumeration(Tag::CRYPTOGRAPHIC_ALGORITHM, AES),
        Item::integer(Tag::CRYPTOGRAPHIC_LENGTH, KEY_BITS),
    ];
    let payload = vec![
        Item::enumeration(Tag::OBJECT_TYPE, SYMMETRIC_KEY),
        Item::structure(Tag::TEMPLATE_ATTRIBUTE, key_attributes(name, group)),
        Item::structure(Tag::SYMMETRIC_KEY, vec![Item::structure(Tag::KEY_BLOCK, key_block)]),
    ];
    unique_identifier(&client.call(Operation::Register, payload).await?)
}

pub(crate) async fn activate(client: &Client, uid: &str) -> Result<(), Fault> {
    client.call(Operation::Activate, vec![Item::text(Tag::UNIQUE_IDENTIFIER, uid)]).await.map(drop)
}

pub(crate) async fn revoke(client: &Client, uid: &str) -> Result<(), Fault> {
    let reason = vec![Item::enumeration(Tag::REVOCATION_REASON_CODE, CESSATION_OF_OPERATION)];
    let payload = vec![Item::text(Tag::UNIQUE_IDENTIFIER, uid), Item::structure(Tag::REVOCATION_REASON, reason)];
    client.call(Operation::Revoke, payload).await.map(drop)
}

pub(crate) async fn destroy(client: &Client, uid: &str) -> Result<(), Fault> {
    client.call(Operation::Destroy, vec![Item::text(Tag::UNIQUE_IDENTIFIER, uid)]).await.map(drop)
}

/// Up to `most` unique identifiers after the first `offset`.
pub(crate) async fn locate(client: &Client, by: By<'_>, offset: i32, most: i32) -> Result<Vec<String>, Fault> {
    let filter = match by {
        By::Name(name) => name_attribute(name),
        By::Group(group) => attribute("Object Group", |tag| Item::text(tag, group)),
        By::Algorithm => attribute("Cryptographic Algorithm", |tag| Item::enumeration(tag, AES)),
    };
    let mut payload = vec![Item::integer(Tag::MAXIMUM_ITEMS, most)];
    if offset > 0 {
        payload.push(Item::integer(Tag::OFFSET_ITEMS, offset));
    }
    payload.extend([attribute("Object Type", |tag| Item::enumeration(tag, SYMMETRIC_KEY)), filter]);
    let answer = client.call(Operation::Locate, payload).await?;
    Ok(answer.children(Tag::UNIQUE_IDENTIFIER).filter_map(Item::as_text).map(str::to_owned).collect())
}

/// What is known of an object, or none if the server does not know it.
pub(crate) async fn attributes(client: &Client, uid: &str) -> Result<Option<Attributes>, Fault> {
    let names = ["Name", "State", "Initial Date"].map(|name| Item::text(Tag::ATTRIBUTE_NAME, name));
    let payload = [&[Item::text(Tag::UNIQUE_IDENTIFIER, uid)], names.as_slice()].concat();
    match client.call(Operation::GetAttributes, payload).await {
        Ok(answer) => read_attributes(&answer).map(Some),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// AES-GCM on the server.
pub(crate) async fn encrypt(client: &Client, uid: &str, iv: [u8; IV_LEN], aad: &[u8], plaintext: &[u8]) -> Result<Encrypted, Fault> {
    let answer = client.call(Operation::Encrypt, cipher_payload(uid, iv, aad, plaintext)).await?;
    let lacks =
        |what: &str| Fault::Answer(KmsError::Broken(format!("the KMIP server's Encrypt gives no {what}: it does no AES-GCM of KMIP 1.4")));
    let bytes = |tag| answer.child(tag).and_then(Item::as_bytes);
    let ciphertext =
        bytes(Tag::DATA).filter(|data| data.len() == plaintext.len()).ok_or_else(|| lacks("data of the plaintext's length"))?;
    let tag = bytes(Tag::AUTHENTICATED_ENCRYPTION_TAG).and_then(|tag| tag.try_into().ok()).ok_or_else(|| lacks("tag of 16 bytes"))?;
    // A server that insists on its own IV says which it took.
    let iv = match bytes(Tag::IV_COUNTER_NONCE) {
        Some(own) => own.try_into().map_err(|_| lacks("IV of 12 bytes"))?,
        None => iv,
    };
    Ok(Encrypted { iv, ciphertext: ciphertext.to_vec(), tag })
}

/// The reverse.
pub(crate) async fn decrypt(client: &Client, uid: &str, sealed: &Encrypted, aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut payload = cipher_payload(uid, sealed.iv, aad, &sealed.ciphertext);
    payload.push(Item::bytes(Tag::AUTHENTICATED_ENCRYPTION_TAG, &sealed.tag));
    let answer = client.call(Operation::Decrypt, payload).await?;
    let data = answer.child(Tag::DATA).and_then(Item::as_bytes);
    let data = data.ok_or_else(|| KmsError::Unavailable("the KMIP server's Decrypt gives no data".to_owned()))?;
    Ok(Zeroizing::new(data.to_vec()))
}

fn cipher_payload(uid: &str, iv: [u8; IV_LEN], aad: &[u8], data: &[u8]) -> Vec<Item> {
    let parameters = vec![
        Item::enumeration(Tag::BLOCK_CIPHER_MODE, GCM),
        Item::enumeration(Tag::CRYPTOGRAPHIC_ALGORITHM, AES),
        Item::integer(Tag::TAG_LENGTH, 16),
    ];
    vec![
        Item::text(Tag::UNIQUE_IDENTIFIER, uid),
        Item::structure(Tag::CRYPTOGRAPHIC_PARAMETERS, parameters),
        Item::bytes(Tag::DATA, data),
        Item::bytes(Tag::IV_COUNTER_NONCE, &iv),
        Item::bytes(Tag::AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, aad),
    ]
}

/// A key that only encrypts and decrypts, and that the server does not hand out.
fn key_attributes(name: &str, group: &str) -> Vec<Item> {
    vec![
        attribute("Cryptographic Usage Mask", |tag| Item::integer(tag, USAGE_MASK)),
        attribute("Sensitive", |tag| Item { tag, value: Value::Boolean(true) }),
        name_attribute(name),
        attribute("Object Group", |tag| Item::text(tag, group)),
    ]
}

fn name_attribute(name: &str) -> Item {
    let value = vec![Item::text(Tag::NAME_VALUE, name), Item::enumeration(Tag::NAME_TYPE, UNINTERPRETED_TEXT)];
    attribute("Name", |tag| Item::structure(tag, value))
}

fn attribute(name: &str, value: impl FnOnce(Tag) -> Item) -> Item {
    Item::structure(Tag::ATTRIBUTE, vec![Item::text(Tag::ATTRIBUTE_NAME, name), value(Tag::ATTRIBUTE_VALUE)])
}

fn unique_identifier(answer: &Item) -> Result<String, Fault> {
    let uid = answer.child(Tag::UNIQUE_IDENTIFIER).and_then(Item::as_text);
    Ok(uid.ok_or_else(|| KmsError::Unavailable("the KMIP server does not say which object it made".to_owned()))?.to_owned())
}

fn read_attributes(answer: &Item) -> Result<Attributes, Fault> {
    let values = |name: &'static str| {
        let is_named = move |item: &&Item| item.child(Tag::ATTRIBUTE_NAME).and_then(Item::as_text) == Some(name);
        answer.children(Tag::ATTRIBUTE).filter(is_named).filter_map(|item| item.child(Tag::ATTRIBUTE_VALUE))
    };
    let state = values("State").find_map(Item::as_enumeration);
    let created = values("Initial Date").find_map(Item::as_date_time);
    let lacks = |what: &str| KmsError::Unavailable(format!("the KMIP server tells no {what} of an object"));
    Ok(Attributes {
        names: values("Name").filter_map(|value| value.child(Tag::NAME_VALUE)).filter_map(Item::as_text).map(str::to_owned).collect(),
        state: read_state(state.ok_or_else(|| lacks("State"))?),
        created: created.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()).ok_or_else(|| lacks("Initial Date"))?,
    })
}

fn read_state(number: u32) -> State {
    match number {
        1 => State::PreActive,
        2 => State::Active,
        5 | 6 => State::Destroyed,
        // 3 and 4, and whatever later versions add: not usable.
        _ => State::Revoked,
    }
}
