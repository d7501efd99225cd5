//! What each call of IAM takes, for front ends that describe and check it.

/// A parameter of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As the query protocol names it, without what stands behind a dot.
    pub name: &'static str,
    /// Whether the call is refused without it.
    pub is_required: bool,
    /// What its value is.
    pub kind: ParameterKind,
}

/// What the value of a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Flag,
    /// A policy: JSON, or its text.
    Document,
    /// Several texts.
    Texts,
    /// Several objects, such as tags, each with a `Key` and a `Value`.
    Objects,
}

const PAGE: &str = "Marker MaxItems";

/// The parameters of the call, those that it needs with a `!`, and whether it answers by pages. None of a call that is not known.
fn spelled(call: &str) -> Option<(&'static str, bool)> {
    let alone = |names| Some((names, false));
    let by_pages = |names| Some((names, true));
    match call {
        "CreateUser" => alone("UserName! Path PermissionsBoundary Tags"),
        "GetUser" | "CreateAccessKey" => alone("UserName"),
        "ListUsers" | "DescribeUsers" | "ListGroups" | "ListRoles" | "ListInstanceProfiles" | "ListServerCertificates" => {
            by_pages("PathPrefix")
        }
        "UpdateUser" => alone("UserName! NewUserName NewPath"),
        "DescribeUser" | "DeleteUser" | "DeleteUserPermissionsBoundary" | "GetLoginProfile" | "DeleteLoginProfile" => alone("UserName!"),
        "ListGroupsForUser" | "ListUserTags" | "ListUserPolicies" => by_pages("UserName!"),
        "ListServiceAccounts" | "ListMFADevices" | "ListSSHPublicKeys" | "ListSigningCertificates" | "ListAccessKeys" => {
            by_pages("UserName")
        }
        "ListServiceSpecificCredentials" => by_pages("UserName ServiceName"),
        "TagUser" => alone("UserName! Tags!"),
        "UntagUser" => alone("UserName! TagKeys!"),
        "PutUserPermissionsBoundary" => alone("UserName! PermissionsBoundary!"),
        "PutUserPolicy" => alone("UserName! PolicyName! PolicyDocument!"),
        "GetUserPolicy" | "DeleteUserPolicy" => alone("UserName! PolicyName!"),
        "AttachUserPolicy" | "DetachUserPolicy" => alone("UserName! PolicyArn!"),
        "ListAttachedUserPolicies" => by_pages("UserName! PathPrefix"),

        "UpdateAccessKey" => alone("AccessKeyId! Status! UserName"),
        "DeleteAccessKey" => alone("AccessKeyId! UserName"),
        "GetAccessKeyLastUsed" | "DescribeAccessKey" | "DeleteServiceAccount" => alone("AccessKeyId!"),

        "CreateGroup" => alone("GroupName! Path"),
        "GetGroup" | "ListGroupPolicies" => by_pages("GroupName!"),
        "UpdateGroup" => alone("GroupName! NewGroupName NewPath"),
        "DeleteGroup" | "DescribeGroup" => alone("GroupName!"),
        "AddUserToGroup" | "RemoveUserFromGroup" => alone("GroupName! UserName!"),
        "PutGroupPolicy" => alone("GroupName! PolicyName! PolicyDocument!"),
        "GetGroupPolicy" | "DeleteGroupPolicy" => alone("GroupName! PolicyName!"),
        "AttachGroupPolicy" | "DetachGroupPolicy" => alone("GroupName! PolicyArn!"),
        "ListAttachedGroupPolicies" => by_pages("GroupName! PathPrefix"),

        "CreateRole" => alone("RoleName! AssumeRolePolicyDocument! Path Description MaxSessionDuration PermissionsBoundary Tags"),
        "GetRole" | "DeleteRole" | "DeleteRolePermissionsBoundary" => alone("RoleName!"),
        "UpdateRole" => alone("RoleName! Description MaxSessionDuration"),
        "UpdateRoleDescription" => alone("RoleName! Description!"),
        "UpdateAssumeRolePolicy" => alone("RoleName! PolicyDocument!"),
        "ListInstanceProfilesForRole" | "ListRoleTags" | "ListRolePolicies" => by_pages("RoleName!"),
        "TagRole" => alone("RoleName! Tags!"),
        "UntagRole" => alone("RoleName! TagKeys!"),
        "PutRolePermissionsBoundary" => alone("RoleName! PermissionsBoundary!"),
        "PutRolePolicy" => alone("RoleName! PolicyName! PolicyDocument!"),
        "GetRolePolicy" | "DeleteRolePolicy" => alone("RoleName! PolicyName!"),
        "AttachRolePolicy" | "DetachRolePolicy" => alone("RoleName! PolicyArn!"),
        "ListAttachedRolePolicies" => by_pages("RoleName! PathPrefix"),

        "CreatePolicy" => alone("PolicyName! PolicyDocument! Path Description Tags"),
        "GetPolicy" | "DeletePolicy" => alone("PolicyArn!"),
        "ListPolicies" => by_pages("Scope OnlyAttached PathPrefix"),
        "CreatePolicyVersion" => alone("PolicyArn! PolicyDocument! SetAsDefault"),
        "GetPolicyVersion" | "DeletePolicyVersion" | "SetDefaultPolicyVersion" => alone("PolicyArn! VersionId!"),
        "ListPolicyVersions" | "ListPolicyTags" => by_pages("PolicyArn!"),
        "ListEntitiesForPolicy" => by_pages("PolicyArn! EntityFilter"),
        "TagPolicy" => alone("PolicyArn! Tags!"),
        "UntagPolicy" => alone("PolicyArn! TagKeys!"),

        "CreateOpenIDConnectProvider" => alone("Url! ClientIDList ThumbprintList Tags"),
        "GetOpenIDConnectProvider" | "DeleteOpenIDConnectProvider" => alone("OpenIDConnectProviderArn!"),
        "AddClientIDToOpenIDConnectProvider" | "RemoveClientIDFromOpenIDConnectProvider" => alone("OpenIDConnectProviderArn! ClientID!"),
        "UpdateOpenIDConnectProviderThumbprint" => alone("OpenIDConnectProviderArn! ThumbprintList!"),
        "TagOpenIDConnectProvider" => alone("OpenIDConnectProviderArn! Tags!"),
        "UntagOpenIDConnectProvider" => alone("OpenIDConnectProviderArn! TagKeys!"),
        "ListOpenIDConnectProviderTags" => by_pages("OpenIDConnectProviderArn!"),

        "GetAccountAuthorizationDetails" => by_pages("Filter"),
        "ListVirtualMFADevices" => by_pages("AssignmentStatus"),
        "ListAccountAliases" | "ListAccounts" => by_pages(""),
        "GetAccountSummary" | "GetAccountPasswordPolicy" | "ListSAMLProviders" | "ListOpenIDConnectProviders" => alone(""),

        "SetUserStatus" => alone("UserName! Status!"),
        "SetGroupStatus" => alone("GroupName! Status!"),
        "PutAccessKey" => alone("UserName AccessKeyId! SecretAccessKey!"),
        "CreateServiceAccount" => alone("UserName AccessKeyId SecretAccessKey Name Description PolicyDocument Expiration"),
        "UpdateServiceAccount" => alone("AccessKeyId! SecretAccessKey Name Description PolicyDocument Expiration Status"),

        "CreateAccount" => alone("AccountName! AccountId"),
        "GetAccount" | "DeleteAccount" | "CreateAccountKey" => alone("AccountId!"),
        "ListAccountKeys" => by_pages("AccountId!"),
        "UpdateAccountKey" => alone("AccountId! AccessKeyId! Status!"),
        "DeleteAccountKey" => alone("AccountId! AccessKeyId!"),
        _ => None,
    }
}

/// What the call takes; none of a call that is not known.
pub(crate) fn of(call: &str) -> Option<Vec<Parameter>> {
    let (names, has_pages) = spelled(call)?;
    let page = if has_pages { PAGE } else { "" };
    Some(names.split_whitespace().chain(page.split_whitespace()).map(parameter).collect())
}

fn parameter(spelled: &'static str) -> Parameter {
    let name = spelled.trim_end_matches('!');
    Parameter { name, is_required: name != spelled, kind: kind(name) }
}

/// A parameter is of one kind wherever it is taken.
fn kind(name: &str) -> ParameterKind {
    match name {
        "MaxItems" | "MaxSessionDuration" => ParameterKind::Number,
        "OnlyAttached" | "SetAsDefault" => ParameterKind::Flag,
        "PolicyDocument" | "AssumeRolePolicyDocument" => ParameterKind::Document,
        "TagKeys" | "Filter" | "ClientIDList" | "ThumbprintList" => ParameterKind::Texts,
        "Tags" => ParameterKind::Objects,
        _ => ParameterKind::Text,
    }
}
