//! Why identities and policies are refused when they are loaded.

/// Why an identity or a policy is refused. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The name of a user is not acceptable, or is root's.
    #[error("{0:?} is no name for a user: 1 to 64 letters, digits and +=,.@_- are, and \"root\" and \"anonymous\" are taken")]
    InvalidName(String),
    /// The account of a user is not acceptable.
    #[error("{0:?} is no account: it has 12 digits")]
    InvalidAccount(String),
    /// The main account has a root already, or what is named is no account.
    #[error("{0:?} has no root to be named: account_root takes an account of 12 digits other than 000000000000")]
    InvalidRootAccount(String),
    /// Two users have one name.
    #[error("two users are named {0}")]
    DuplicateName(String),
    /// The access key of an identity is too short or too long, or has characters that a signature's scope cannot carry.
    #[error("the access key of {name} must have {min_bytes} to {max_bytes} letters, digits and +.@_-")]
    InvalidAccessKey {
        /// The identity.
        name: String,
        /// Fewest bytes.
        min_bytes: usize,
        /// Most bytes.
        max_bytes: usize,
    },
    /// Two identities share an access key.
    #[error("{first} and {second} have the same access key")]
    DuplicateAccessKey {
        /// One identity.
        first: String,
        /// The other.
        second: String,
    },
    /// A secret key is too short or too long.
    #[error("a secret key must have {min_bytes} to {max_bytes} bytes")]
    SecretKeyLength {
        /// Fewest bytes.
        min_bytes: usize,
        /// Most bytes.
        max_bytes: usize,
    },
    /// A secret key has control characters, such as a line end.
    #[error("a secret key must not have control characters, such as a line end")]
    SecretKeyCharacters,
    /// More policies than an identity may have.
    #[error("{count} policies are too many: an identity may have {max}")]
    TooManyPolicies {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// There is no canned policy of that name.
    #[error("there is no policy named {0:?}: the names are readonly, readwrite and writeonly")]
    UnknownPolicy(String),
    /// A policy document is too large.
    #[error("the policy has {len_bytes} bytes, {max_bytes} are allowed")]
    PolicyTooLarge {
        /// Its length.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A policy document is not JSON, or has fields that no policy has.
    #[error("the policy is malformed: {0}")]
    PolicyMalformed(#[source] serde_json::Error),
    /// A policy has more statements than are allowed, or none.
    #[error("the policy has {count} statements, 1 to {max} are allowed")]
    StatementCount {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A statement of a policy cannot be honoured.
    #[error("statement {statement} of the policy: {problem}")]
    Statement {
        /// Its Sid, else its place, from 1.
        statement: String,
        /// What is wrong.
        #[source]
        problem: StatementProblem,
    },
}

/// Why a statement cannot be honoured.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementProblem {
    /// Both or neither of `Action` and `NotAction`, `Resource` and `NotResource`.
    #[error("it must have either {0} or Not{0}")]
    EitherOr(&'static str),
    /// Another statement has the same `Sid`.
    #[error("another statement has the same Sid, or its place for one")]
    RepeatedSid,
    /// A list without entries.
    #[error("{0} is empty")]
    Empty(String),
    /// Not `*`, and not `service:Name`.
    #[error("{0:?} is no action: write * or service:Name, such as s3:GetObject")]
    MalformedAction(String),
    /// `Principal` in the policy of an identity.
    #[error("Principal belongs in the policy of a bucket or a key: the policy of a user is about that user")]
    PrincipalOfIdentity,
    /// Neither `*` nor the name of anybody.
    #[error(
        "{0:?} is no principal: write *, an account of 12 digits, arn:aws:iam::ACCOUNT:root, …:user/NAME or …:role/NAME, or \
         arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION as AWS, a user's name as CanonicalUser, or a provider as Federated"
    )]
    NoPrincipal(String),
    /// A resource in the trust policy of a role.
    #[error("a trust policy has no Resource: it is about its role")]
    ResourceOfTrust,
    /// An action of another service in the trust policy of a role.
    #[error("{0:?} is no action of a trust policy: write those of sts, such as sts:AssumeRole")]
    ActionOfTrust(String),
    /// A resource in the policy of a key that is not all of it.
    #[error("the policy of a key has the Resource *, which is the key")]
    ResourceOfKey,
    /// An action of another service in the policy of a key.
    #[error("{0:?} is no action of a key policy: write those of kms, such as kms:Decrypt")]
    ActionOfKey(String),
    /// A resource of another bucket in the policy of a bucket.
    #[error("the resource {0} is not of this bucket")]
    OtherBucket(String),
    /// An action of a service that this server is not.
    #[error("the action {0} belongs to no service of this server (s3, kms, strongroom, iam, sts)")]
    ForeignService(String),
    /// Not `*`, and not an ARN of six fields.
    #[error("{0:?} is no resource: write * or an ARN, such as arn:aws:s3:::bucket/* or arn:aws:kms:::key/id")]
    MalformedResource(String),
    /// An ARN that nothing of this server has.
    #[error(
        "the resource {0} is not of this server: S3 ARNs have no region and account, KMS keys have none, *, or us-east-1 and an account \
         of 12 digits, and ARNs of iam and sts have no region and an account of 12 digits or *"
    )]
    ForeignResource(String),
    /// A policy variable, such as `${aws:username}`, in a document of a version that has none.
    #[error("{0:?} has a policy variable: write \"Version\": \"2012-10-17\" in the policy, which gives it a meaning")]
    VariableVersion(String),
    /// What begins as a policy variable and is none.
    #[error(
        "{0:?} has a policy variable that is none: write ${{KEY}} or ${{KEY, 'default'}}, and ${{*}}, ${{?}} or ${{$}} for these characters"
    )]
    VariableForm(String),
    /// A policy variable in the first fields of an ARN.
    #[error("{0:?} has a policy variable too early: one may stand after the fifth colon of an ARN")]
    VariablePlace(String),
    /// A policy variable of a key with several values.
    #[error("{0} may have several values, so it cannot be a policy variable")]
    VariableOfList(String),
    /// A pattern longer than anything it could match.
    #[error("a pattern of {len_bytes} bytes is too long, {max_bytes} are allowed")]
    PatternTooLong {
        /// Its length.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A pattern that would take too long to match.
    #[error("{0:?}: between two * there may be 64 characters if one of them is ?")]
    PatternTooCostly(String),
    /// A condition operator that is not supported.
    #[error(
        "the condition operator {0} is not supported: String(Not)Equals(IgnoreCase), String(Not)Like, Arn(Not)Equals, Arn(Not)Like, Numeric… and Date… \
         with (Not)Equals, LessThan(Equals) and GreaterThan(Equals), Bool, (Not)IpAddress (each also with IfExists, and after ForAllValues: or \
         ForAnyValue:) and Null are"
    )]
    UnknownOperator(String),
    /// A condition key that is not supported.
    #[error("the condition key {0} is not supported: {known} are", known = crate::key::known_keys().join(", "))]
    UnknownKey(String),
    /// A condition operator on a key of another type.
    #[error("the condition operator {operator} does not suit the key {key}")]
    UnsuitableOperator {
        /// The operator.
        operator: String,
        /// The key.
        key: String,
    },
    /// A value of Bool or Null that is neither true nor false.
    #[error("{0:?} is neither true nor false")]
    NoBool(String),
    /// A value of IpAddress that is none.
    #[error("{0:?} is no IP address, nor a block of them such as 10.0.0.0/8")]
    NoAddress(String),
    /// A value of a numeric operator that is no whole number.
    #[error("{0:?} is no whole number")]
    NoNumber(String),
    /// A value of a date operator that is no date.
    #[error("{0:?} is no date: write it as 2030-01-31T12:00:00Z, 2030-01-31, or in seconds since 1970")]
    NoDate(String),
    /// A value of an operator for ARNs that is none.
    #[error("{0:?} is no ARN: it has six fields with colons between them, or is *")]
    NoArn(String),
    /// A value for a KMS key id that is an ARN, but not a key's.
    #[error("{0:?} is no KMS key: write its id or arn:aws:kms:::key/id")]
    NoKey(String),
}
