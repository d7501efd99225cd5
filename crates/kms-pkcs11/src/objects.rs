//! Keys as objects on the token: CKA_LABEL is prefix and key id, CKA_ID the version.

use std::collections::BTreeMap;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Date;
use strongroom_kms::KmsError;
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use crate::fault::Fault;

/// Length of a key in bytes: AES-256.
pub(crate) const KEY_LEN: usize = 32;
/// The most versions of a key.
pub(crate) const MAX_VERSIONS: u32 = 1000;
/// The most AES keys on a token that are looked at for a list.
const MAX_OBJECTS: usize = 100_000;

/// A key's id and its label on the token.
#[derive(Clone)]
pub(crate) struct KeyName {
    pub(crate) id: String,
    label: String,
}

/// The versions of a key, by number.
pub(crate) type Versions = BTreeMap<u32, ObjectHandle>;

impl KeyName {
    pub(crate) fn new(prefix: &str, id: &str) -> Self {
        Self { id: id.to_owned(), label: format!("{prefix}{id}") }
    }
}

/// Every version of the key, at least one.
pub(crate) fn versions(session: &Session, key: &KeyName) -> Result<Versions, Fault> {
    let found = find(session, key)?;
    if found.is_empty() { Err(KmsError::KeyNotFound(key.id.clone()).into()) } else { Ok(found) }
}

/// Every version of the key, or none. Objects without a version in CKA_ID are not this backend's.
pub(crate) fn find(session: &Session, key: &KeyName) -> Result<Versions, Fault> {
    let mut versions = Versions::new();
    for handle in session.find_objects(&[aes_key(), aes(), Attribute::Token(true), Attribute::Label(key.label.clone().into_bytes())])? {
        let attributes = session.get_attributes(handle, &[AttributeType::Id, AttributeType::ValueLen])?;
        let Some(version) = attributes.iter().find_map(version_of) else { continue };
        if !attributes.iter().any(|attribute| matches!(attribute, Attribute::ValueLen(len) if usize::from(*len) == KEY_LEN)) {
            return Err(KmsError::Broken(format!("version {version} of the key {} on the token is no AES-256 key", key.id)).into());
        }
        if versions.insert(version, handle).is_some() {
            let text =
                format!("the token holds two keys labelled {:?} with the CKA_ID {version}: remove the one that is not in use", key.label);
            return Err(KmsError::Broken(text).into());
        }
    }
    Ok(versions)
}

/// The version that data keys are wrapped under.
pub(crate) fn current(versions: &Versions) -> Option<(u32, ObjectHandle)> {
    versions.last_key_value().map(|(version, handle)| (*version, *handle))
}

/// Has the token make a key.
pub(crate) fn generate(session: &Session, key: &KeyName, version: u32) -> Result<(), Fault> {
    let mut template = template(key, version);
    template.push(Attribute::ValueLen(KEY_LEN.try_into()?));
    let handle = session.generate_key(&Mechanism::AesKeyGen, &template)?;
    check_alone(session, key, handle)
}

/// Puts key material on the token; [`KmsError::Unsupported`] where the token takes none.
pub(crate) fn import(session: &Session, backend: &str, key: &KeyName, material: &Zeroizing<Vec<u8>>) -> Result<(), Fault> {
    let mut template = template(key, 1);
    template.push(Attribute::Value(material.to_vec()));
    let created = session.create_object(&template);
    if let Some(Attribute::Value(copy)) = template.last_mut() {
        copy.zeroize();
    }
    match created {
        Ok(handle) => check_alone(session, key, handle),
        Err(error) if is_refusal_to_import(&error) => {
            Err(KmsError::Unsupported { backend: backend.to_owned(), operation: "import: the token takes no key material from outside" }
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

/// When a version was made, to the day, as CKA_START_DATE has it; the epoch if the token does not tell.
pub(crate) fn created(session: &Session, handle: ObjectHandle) -> OffsetDateTime {
    let attributes = session.get_attributes(handle, &[AttributeType::StartDate]).unwrap_or_default();
    let date = attributes.iter().find_map(|attribute| match attribute {
        Attribute::StartDate(date) => parse_date(*date),
        _ => None,
    });
    date.map_or(OffsetDateTime::UNIX_EPOCH, |date| date.midnight().assume_utc())
}

/// The ids of all keys with this prefix and a version, each once, in order.
pub(crate) fn list(session: &Session, prefix: &str) -> Result<Vec<String>, Fault> {
    let mut handles = Vec::new();
    for handle in session.iter_objects(&[aes_key(), aes(), Attribute::Token(true)])? {
        if handles.len() == MAX_OBJECTS {
            return Err(KmsError::Broken(format!("the token holds more than {MAX_OBJECTS} AES keys")).into());
        }
        handles.push(handle?);
    }
    let mut ids = Vec::new();
    for handle in handles {
        let attributes = match session.get_attributes(handle, &[AttributeType::Id, AttributeType::Label]) {
            Err(Error::Pkcs11(RvError::ObjectHandleInvalid, _)) => continue, // deleted meanwhile
            attributes => attributes?,
        };
        if attributes.iter().any(|attribute| version_of(attribute).is_some()) {
            ids.extend(attributes.iter().filter_map(|attribute| id_of(attribute, prefix)));
        }
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn id_of(attribute: &Attribute, prefix: &str) -> Option<String> {
    let Attribute::Label(label) = attribute else { return None };
    let id = std::str::from_utf8(label).ok()?.strip_prefix(prefix)?;
    (strongroom_kms::resolve_key_id(id).ok()? == id).then(|| id.to_owned())
}

/// A token takes any number of keys of one name, so another server may have made the same one at the same time. Nobody can have used this
/// one: two of a name are refused.
fn check_alone(session: &Session, key: &KeyName, made: ObjectHandle) -> Result<(), Fault> {
    match find(session, key) {
        Err(Fault::Answer(KmsError::Broken(_))) => {
            session.destroy_object(made)?;
            Err(KmsError::Conflict(format!("another server makes the key {} at the same time; try again", key.id)).into())
        }
        found => found.map(drop),
    }
}

fn template(key: &KeyName, version: u32) -> Vec<Attribute> {
    vec![
        aes_key(),
        aes(),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Label(key.label.clone().into_bytes()),
        Attribute::Id(version.to_be_bytes().to_vec()),
        Attribute::StartDate(today()),
    ]
}

fn aes_key() -> Attribute {
    Attribute::Class(ObjectClass::SECRET_KEY)
}

fn aes() -> Attribute {
    Attribute::KeyType(KeyType::AES)
}

/// A big-endian number of one to four bytes, so that keys made with the usual tools (`--id 01`) count.
fn version_of(attribute: &Attribute) -> Option<u32> {
    let Attribute::Id(id) = attribute else { return None };
    let fits = (1..=4).contains(&id.len());
    let version = id.iter().fold(0, |number: u32, byte| (number << 8) | u32::from(*byte));
    (fits && version >= 1).then_some(version)
}

fn is_refusal_to_import(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else { return false };
    matches!(
        code,
        RvError::FunctionNotSupported
            | RvError::TemplateInconsistent
            | RvError::TemplateIncomplete
            | RvError::AttributeReadOnly
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::ActionProhibited
    )
}

fn today() -> Date {
    let today = OffsetDateTime::now_utc().date();
    let text = format!("{:04}{:02}{:02}", today.year(), u8::from(today.month()), today.day());
    let digits = text.as_bytes();
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    match (part(0..4).try_into(), part(4..6).try_into(), part(6..8).try_into()) {
        (Ok(year), Ok(month), Ok(day)) => Date::new(year, month, day),
        _ => Date::new_empty(),
    }
}

fn parse_date(date: Date) -> Option<time::Date> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u16>().ok();
    let month = u8::try_from(number(&date.month)?).ok()?;
    let day = u8::try_from(number(&date.day)?).ok()?;
    time::Date::from_calendar_date(i32::from(number(&date.year)?), month.try_into().ok()?, day).ok()
}
