//! Requests and answers of one operation each. Source: KMIP 1.4, 7.

use strongroom_kms::KmsError;
use zeroize::Zeroizing;

use super::connection::MAX_ANSWER_LEN;
use crate::Config;
use crate::fault::{Fault, Reason};
use crate::operations::Operation;
use crate::ttlv::{Item, Tag, decode, encode};

const VERSION: (i32, i32) = (1, 4);
const USERNAME_AND_PASSWORD: u32 = 1;
const SUCCESS: u32 = 0;

/// The bytes of a request.
pub(super) fn request(config: &Config, operation: Operation, payload: Vec<Item>) -> Zeroizing<Vec<u8>> {
    let version = [Item::integer(Tag::PROTOCOL_VERSION_MAJOR, VERSION.0), Item::integer(Tag::PROTOCOL_VERSION_MINOR, VERSION.1)];
    let mut header = vec![
        Item::structure(Tag::PROTOCOL_VERSION, version.into()),
        Item::integer(Tag::MAXIMUM_RESPONSE_SIZE, i32::try_from(MAX_ANSWER_LEN).unwrap_or(i32::MAX)),
    ];
    header.extend(authentication(config));
    header.push(Item::integer(Tag::BATCH_COUNT, 1));
    let item = vec![Item::enumeration(Tag::OPERATION, operation as u32), Item::structure(Tag::REQUEST_PAYLOAD, payload)];
    let message = vec![Item::structure(Tag::REQUEST_HEADER, header), Item::structure(Tag::BATCH_ITEM, item)];
    encode(&Item::structure(Tag::REQUEST_MESSAGE, message))
}

fn authentication(config: &Config) -> Option<Item> {
    let (username, password) = (config.username.as_ref()?, config.password.as_ref()?);
    let value = vec![Item::text(Tag::USERNAME, username), Item::text(Tag::PASSWORD, password.expose())];
    let credential = vec![Item::enumeration(Tag::CREDENTIAL_TYPE, USERNAME_AND_PASSWORD), Item::structure(Tag::CREDENTIAL_VALUE, value)];
    Some(Item::structure(Tag::AUTHENTICATION, vec![Item::structure(Tag::CREDENTIAL, credential)]))
}

/// The payload of an answer.
pub(super) fn answer(operation: Operation, bytes: &[u8]) -> Result<Item, Fault> {
    let malformed = |what: String| Fault::Answer(KmsError::Unavailable(format!("the KMIP server's answer to {operation:?} {what}")));
    let message = decode(bytes).map_err(|defect| malformed(format!("is malformed ({defect:?})")))?;
    let item = message.child(Tag::BATCH_ITEM).ok_or_else(|| malformed("is empty".to_owned()))?;
    let status = item.child(Tag::RESULT_STATUS).and_then(Item::as_enumeration).ok_or_else(|| malformed("has no status".to_owned()))?;
    if status != SUCCESS {
        let reason = item.child(Tag::RESULT_REASON).and_then(Item::as_enumeration).unwrap_or_default();
        return Err(Fault::Refused { operation, reason: Reason(reason) });
    }
    if item.child(Tag::OPERATION).and_then(Item::as_enumeration) != Some(operation as u32) {
        return Err(malformed("is to another operation".to_owned()));
    }
    Ok(item.child(Tag::RESPONSE_PAYLOAD).cloned().unwrap_or_else(|| Item::structure(Tag::RESPONSE_PAYLOAD, Vec::new())))
}
