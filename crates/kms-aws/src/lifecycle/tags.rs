//! Tags of keys.

use std::collections::BTreeMap;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::Tag;
use strongroom_kms::KmsError;

use crate::AwsKms;
use crate::fault::Call;

/// Pages of tags that are read at most; a key has 50 tags, and AWS answers 50 at once.
const MAX_PAGES: usize = 8;

impl AwsKms {
    pub(super) async fn tags(&self, key_id: &str) -> Result<BTreeMap<String, String>, KmsError> {
        let call = Call { action: "kms:ListResourceTags", key_id };
        let (mut tags, mut marker) = (BTreeMap::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let request = |aws: Client| aws.list_resource_tags().key_id(key_id).set_marker(marker.clone()).send();
            let page = self.connection.send(call, request).await.map_err(|fault| fault.into_error(call))?;
            tags.extend(page.tags.unwrap_or_default().into_iter().map(|tag| (tag.tag_key, tag.tag_value)));
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                break;
            }
        }
        Ok(tags)
    }

    pub(super) async fn add_tags(&self, key_id: &str, tags: &BTreeMap<String, String>) -> Result<(), KmsError> {
        let tags = aws_tags(tags)?;
        if tags.is_empty() {
            return Ok(());
        }
        let call = Call { action: "kms:TagResource", key_id };
        match self.connection.send(call, |aws| aws.tag_resource().key_id(key_id).set_tags(Some(tags.clone())).send()).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.error_of(call, fault).await),
        }
    }

    pub(super) async fn remove_tags(&self, key_id: &str, names: &[String]) -> Result<(), KmsError> {
        if names.is_empty() {
            return Ok(());
        }
        let call = Call { action: "kms:UntagResource", key_id };
        match self.connection.send(call, |aws| aws.untag_resource().key_id(key_id).set_tag_keys(Some(names.to_vec())).send()).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.error_of(call, fault).await),
        }
    }
}

pub(super) fn aws_tags(tags: &BTreeMap<String, String>) -> Result<Vec<Tag>, KmsError> {
    let tag = |(name, value): (&String, &String)| Tag::builder().tag_key(name).tag_value(value).build();
    tags.iter().map(tag).collect::<Result<_, _>>().map_err(|error| KmsError::InvalidArgument(format!("tags: {error}")))
}
