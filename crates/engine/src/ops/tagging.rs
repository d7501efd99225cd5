//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging.

use crate::{
    Engine, Error,
    api::{Caller, ObjectVersion, Tag},
    change::Changeable,
    events::EventName,
    ids,
    ops::check_seen,
    tags,
};

impl Engine {
    /// GetObjectTagging: the tags of a version, and its id as clients see it.
    pub async fn object_tags(&self, caller: &Caller, named: &ObjectVersion) -> Result<(Vec<Tag>, Option<String>), Error> {
        let found = self.find(caller.expected_owner.as_deref(), &named.bucket, &named.key, named.version_id.as_deref()).await?;
        check_seen(caller.seen.object, &found)?;
        let version_id = ids::shown(found.bucket.versioning, &found.version);
        Ok((found.record.tags, version_id))
    }

    /// PutObjectTagging: takes the place of all tags. The version's id as clients see it.
    pub async fn set_object_tags(&self, caller: &Caller, named: &ObjectVersion, tags: Vec<Tag>) -> Result<Option<String>, Error> {
        tags::check(&tags, tags::MAX_OBJECT_TAGS)?;
        self.space().admit(None)?;
        let tags = tags::in_order(tags);
        self.change_version(caller, named, Some(EventName::ObjectTaggingPut), |_, present| Ok(Changeable { tags: tags.clone(), ..present }))
            .await
    }

    /// DeleteObjectTagging. The version's id as clients see it.
    pub async fn clear_object_tags(&self, caller: &Caller, named: &ObjectVersion) -> Result<Option<String>, Error> {
        self.change_version(caller, named, Some(EventName::ObjectTaggingDelete), |_, present| {
            Ok(Changeable { tags: Vec::new(), ..present })
        })
        .await
    }
}
