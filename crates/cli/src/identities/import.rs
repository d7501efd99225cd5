//! `strongroom account import FILE`: what `mc admin cluster iam export` wrote of a MinIO server, into the account of whoever asks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strongroom_kms::Secret;
use zeroize::Zeroizing;

use super::Session;
use crate::error::Error;

/// An export of 100,000 users has about 20 MiB when it is unpacked.
const MAX_FILE_BYTES: u64 = 64 << 20;
const MAX_UNPACKED_BYTES: u64 = 128 << 20;
const MAX_ENTRIES: usize = 64;
/// The folder of the archive.
const FOLDER: &str = "iam-assets/";

/// What an export holds. Sessions are not taken: they end by themselves.
#[derive(Default)]
struct Export {
    policies: BTreeMap<String, Value>,
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    service_accounts: BTreeMap<String, ServiceAccount>,
    of_users: BTreeMap<String, Mapping>,
    of_groups: BTreeMap<String, Mapping>,
    /// Files that are not taken.
    others: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(default)]
    secret_key: Secret,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    status: String,
    #[serde(default)]
    members: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceAccount {
    #[serde(default)]
    parent: String,
    #[serde(default)]
    secret_key: Secret,
    #[serde(default)]
    session_policy: Value,
    #[serde(default)]
    status: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    expiration: Option<String>,
}

/// Names of policies with commas between them.
#[derive(Deserialize)]
struct Mapping {
    #[serde(default)]
    policy: String,
}

/// What became of each thing.
#[derive(Default)]
struct Report {
    rows: Vec<Value>,
    not_taken: usize,
}

impl Report {
    fn taken(&mut self, kind: &str, name: &str, what: &str) {
        self.rows.push(json!({ "kind": kind, "name": name, "outcome": what, "why": null }));
    }

    fn left_out(&mut self, kind: &str, name: &str, why: &str) {
        self.rows.push(json!({ "kind": kind, "name": name, "outcome": "left out", "why": why }));
    }

    fn not_taken(&mut self, kind: &str, name: &str, why: &str) {
        self.not_taken += 1;
        self.rows.push(json!({ "kind": kind, "name": name, "outcome": "not taken", "why": why }));
    }

    /// What the server refuses is not taken, and the rest goes on; anything else ends the import.
    fn note(&mut self, (kind, name, what): (&str, &str, &str), done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Ok(()) => self.taken(kind, name, what),
            Err(Error::Refused { status: 400 | 404 | 409, message, .. }) => self.not_taken(kind, name, &message),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Takes what an export holds, or says what would be taken. Taken again, it changes nothing more.
pub(super) async fn run(file: &Path, dry_run: bool, session: &Session<'_>) -> Result<(), Error> {
    let export = read(file)?;
    let mut report = Report::default();
    let present = Present::of(session).await?;
    let importing = Importing { session, dry_run, present };
    importing.policies(&export, &mut report).await?;
    importing.users(&export, &mut report).await?;
    importing.groups(&export, &mut report).await?;
    importing.mappings(&export, &mut report).await?;
    importing.service_accounts(&export, &mut report).await?;
    for name in &export.others {
        report.left_out("file", name, "temporary credentials and other files are not taken");
    }
    let shown = json!({ "dry_run": dry_run, "not_taken": report.not_taken, "entries": report.rows });
    session.output.rows(&shown, "entries", &["kind", "name", "outcome", "why"]);
    match report.not_taken {
        0 => Ok(()),
        count => Err(Error::JobFailed(format!("{count} entries were not taken"))),
    }
}

/// What is there already, by names in small letters.
struct Present {
    built_in: Vec<String>,
    policies: Vec<String>,
    users: Vec<String>,
    groups: Vec<String>,
}

impl Present {
    async fn of(session: &Session<'_>) -> Result<Self, Error> {
        let names = |items: Vec<Value>, name: &str| -> Vec<String> {
            items.iter().filter_map(|item| item[name].as_str()).map(str::to_ascii_lowercase).collect()
        };
        let policies = session.all("ListPolicies", json!({}), "Policies").await?;
        let (built_in, own) =
            policies.into_iter().partition(|policy| policy["Arn"].as_str().is_some_and(|arn| arn.starts_with("arn:aws:iam::aws:")));
        Ok(Self {
            built_in: names(built_in, "PolicyName"),
            policies: names(own, "PolicyName"),
            users: names(session.all("ListUsers", json!({}), "Users").await?, "UserName"),
            groups: names(session.all("ListGroups", json!({}), "Groups").await?, "GroupName"),
        })
    }
}

fn has(names: &[String], name: &str) -> bool {
    names.contains(&name.to_ascii_lowercase())
}

struct Importing<'a> {
    session: &'a Session<'a>,
    dry_run: bool,
    present: Present,
}

impl Importing<'_> {
    /// The word for what is there already, or is made.
    fn word(&self, is_there: bool) -> &'static str {
        match (self.dry_run, is_there) {
            (true, true) => "is there; would be brought up to date",
            (true, false) => "would be created",
            (false, true) => "brought up to date",
            (false, false) => "created",
        }
    }

    /// Makes a call, unless this is a dry run.
    async fn call(&self, action: &str, params: Value) -> Result<(), Error> {
        if self.dry_run {
            return Ok(());
        }
        self.session.call(action, params).await.map(drop)
    }

    /// The same; that it is there already is no error.
    async fn create(&self, action: &str, params: Value) -> Result<(), Error> {
        match self.call(action, params).await {
            Err(Error::Refused { code, .. }) if code == "EntityAlreadyExists" => Ok(()),
            other => other,
        }
    }

    async fn policies(&self, export: &Export, report: &mut Report) -> Result<(), Error> {
        for (name, document) in &export.policies {
            if has(&self.present.built_in, name) {
                report.taken("policy", name, "the server's own of this name is used");
                continue;
            }
            if has(&self.present.policies, name) {
                report.taken("policy", name, "is there; left as it is");
                continue;
            }
            let params = json!({ "PolicyName": name, "PolicyDocument": document.to_string() });
            report.note(("policy", name, self.word(false)), self.call("CreatePolicy", params).await)?;
        }
        Ok(())
    }

    async fn users(&self, export: &Export, report: &mut Report) -> Result<(), Error> {
        for (name, user) in &export.users {
            let word = self.word(has(&self.present.users, name));
            report.note(("user", name, word), self.user(name, user).await)?;
        }
        Ok(())
    }

    async fn user(&self, name: &str, user: &User) -> Result<(), Error> {
        self.create("CreateUser", json!({ "UserName": name })).await?;
        let key = json!({ "UserName": name, "AccessKeyId": name, "SecretAccessKey": user.secret_key.expose() });
        self.call("PutAccessKey", key).await?;
        self.call("SetUserStatus", json!({ "UserName": name, "Status": status(&user.status) })).await
    }

    async fn groups(&self, export: &Export, report: &mut Report) -> Result<(), Error> {
        for (name, group) in &export.groups {
            let word = self.word(has(&self.present.groups, name));
            report.note(("group", name, word), self.group(name, group).await)?;
            for member in group.members.iter().flatten() {
                let params = json!({ "GroupName": name, "UserName": member });
                let member = format!("{name}: {member}");
                report.note(
                    ("member", &member, if self.dry_run { "would be added" } else { "added" }),
                    self.call("AddUserToGroup", params).await,
                )?;
            }
        }
        Ok(())
    }

    async fn group(&self, name: &str, group: &Group) -> Result<(), Error> {
        self.create("CreateGroup", json!({ "GroupName": name })).await?;
        self.call("SetGroupStatus", json!({ "GroupName": name, "Status": status(&group.status) })).await
    }

    async fn mappings(&self, export: &Export, report: &mut Report) -> Result<(), Error> {
        for (noun, mappings) in [("User", &export.of_users), ("Group", &export.of_groups)] {
            for (holder, mapping) in mappings {
                for policy in mapping.policy.split(',').map(str::trim).filter(|policy| !policy.is_empty()) {
                    let name = format!("{holder}: {policy}");
                    let kind = format!("policy of a {}", noun.to_lowercase());
                    let word = if self.dry_run { "would be attached" } else { "attached" };
                    report.note((&kind, &name, word), self.attach(noun, holder, policy).await)?;
                }
            }
        }
        Ok(())
    }

    async fn attach(&self, noun: &str, holder: &str, policy: &str) -> Result<(), Error> {
        if self.dry_run {
            return Ok(());
        }
        let arn = self.session.policy_arn(policy).await?;
        self.call(&format!("Attach{noun}Policy"), json!({ format!("{noun}Name"): holder, "PolicyArn": arn })).await
    }

    async fn service_accounts(&self, export: &Export, report: &mut Report) -> Result<(), Error> {
        for (id, account) in &export.service_accounts {
            report.note(("service account", id, self.word(false)), self.service_account(id, account).await)?;
        }
        Ok(())
    }

    async fn service_account(&self, id: &str, account: &ServiceAccount) -> Result<(), Error> {
        let policy = match &account.session_policy {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            document => Some(document.to_string()),
        };
        let expires = account.expiration.as_deref().filter(|at| !at.starts_with("1970-01-01") && !at.starts_with("0001-01-01"));
        let mut params = json!({ "AccessKeyId": id, "SecretAccessKey": account.secret_key.expose(), "Expiration": expires });
        for (name, text) in
            [("Name", Some(&account.name)), ("Description", Some(&account.description)), ("PolicyDocument", policy.as_ref())]
        {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                params[name] = json!(text);
            }
        }
        let mut new = params.clone();
        new["UserName"] = json!(account.parent);
        match self.call("CreateServiceAccount", new).await {
            Err(Error::Refused { code, .. }) if code == "EntityAlreadyExists" => self.call("UpdateServiceAccount", params).await?,
            other => other?,
        }
        let is_off = matches!(account.status.as_str(), "off" | "disabled");
        let status = json!({ "AccessKeyId": id, "Status": if is_off { "Inactive" } else { "Active" } });
        self.call("UpdateServiceAccount", status).await
    }
}

fn status(of: &str) -> &'static str {
    if matches!(of, "off" | "disabled") { "disabled" } else { "enabled" }
}

fn read(file: &Path) -> Result<Export, Error> {
    let failed = |source| Error::File { path: file.to_owned(), source };
    let opened = File::open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(Error::Usage(format!("{} is longer than any export: {MAX_FILE_BYTES} bytes", file.display())));
    }
    let broken =
        |error: &dyn std::fmt::Display| Error::Usage(format!("{} is no archive of mc admin cluster iam export: {error}", file.display()));
    let mut archive = zip::ZipArchive::new(opened).map_err(|error| broken(&error))?;
    if archive.len() > MAX_ENTRIES {
        return Err(broken(&format!("it has more than {MAX_ENTRIES} files")));
    }
    let (mut export, mut left) = (Export::default(), MAX_UNPACKED_BYTES);
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|error| broken(&error))?;
        let name = entry.name().map_err(|error| broken(&error))?.into_owned();
        let Some(name) = name.strip_prefix(FOLDER).map(str::to_owned) else { continue };
        let mut bytes = Zeroizing::new(Vec::new());
        // What the entry says of its length is not believed.
        entry.by_ref().take(left + 1).read_to_end(&mut bytes).map_err(failed)?;
        left =
            left.checked_sub(bytes.len() as u64).ok_or_else(|| broken(&format!("it unpacks to more than {MAX_UNPACKED_BYTES} bytes")))?;
        let at = |error: serde_json::Error| broken(&format!("{name}: line {}, column {}", error.line(), error.column()));
        match name.as_str() {
            "policies.json" => export.policies = parse(&bytes).map_err(at)?,
            "users.json" => export.users = parse(&bytes).map_err(at)?,
            "groups.json" => export.groups = parse(&bytes).map_err(at)?,
            "svcaccts.json" => export.service_accounts = parse(&bytes).map_err(at)?,
            "user_mappings.json" => export.of_users = parse(&bytes).map_err(at)?,
            "group_mappings.json" => export.of_groups = parse(&bytes).map_err(at)?,
            "" => {}
            _ => export.others.push(name),
        }
    }
    Ok(export)
}

/// An empty file, or `null`, is an empty map.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<BTreeMap<String, T>, serde_json::Error> {
    if bytes.trim_ascii().is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(serde_json::from_slice::<Option<BTreeMap<String, T>>>(bytes)?.unwrap_or_default())
}
