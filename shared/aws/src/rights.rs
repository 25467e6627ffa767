//! Which IAM action an operation of the SDK needs.

/// Operations of the SDK (service and operation as [`crate`] traces them) and the actions they
/// need. From AWS's service authorization reference. Operations that are not called are left out,
/// so a new call shows up in the tests that use this.
pub const ACTIONS: &[(&str, &str, &[&str])] = &[
    ("DynamoDB", "BatchGetItem", &["dynamodb:BatchGetItem"]),
    (
        "DynamoDB",
        "BatchWriteItem",
        &["dynamodb:BatchWriteItem", "dynamodb:DeleteItem"],
    ),
    ("DynamoDB", "DeleteItem", &["dynamodb:DeleteItem"]),
    ("DynamoDB", "GetItem", &["dynamodb:GetItem"]),
    ("DynamoDB", "PutItem", &["dynamodb:PutItem"]),
    ("DynamoDB", "Query", &["dynamodb:Query"]),
    (
        "DynamoDB",
        "TransactWriteItems",
        &["dynamodb:PutItem", "dynamodb:UpdateItem"],
    ),
    ("ECR", "BatchDeleteImage", &["ecr:BatchDeleteImage"]),
    ("ECR", "CompleteLayerUpload", &["ecr:CompleteLayerUpload"]),
    ("ECR", "CreateRepository", &["ecr:CreateRepository"]),
    (
        "ECR",
        "GetAuthorizationToken",
        &["ecr:GetAuthorizationToken"],
    ),
    ("ECR", "InitiateLayerUpload", &["ecr:InitiateLayerUpload"]),
    ("ECR", "UploadLayerPart", &["ecr:UploadLayerPart"]),
    ("KMS", "Decrypt", &["kms:Decrypt"]),
    ("KMS", "Encrypt", &["kms:Encrypt"]),
    ("S3", "AbortMultipartUpload", &["s3:AbortMultipartUpload"]),
    ("S3", "CompleteMultipartUpload", &["s3:PutObject"]),
    ("S3", "CreateMultipartUpload", &["s3:PutObject"]),
    ("S3", "DeleteObject", &["s3:DeleteObject"]),
    ("S3", "GetObject", &["s3:GetObject"]),
    ("S3", "ListObjectsV2", &["s3:ListBucket"]),
    ("S3", "PutObject", &["s3:PutObject"]),
    ("S3", "UploadPart", &["s3:PutObject"]),
    (
        "SQS",
        "ChangeMessageVisibility",
        &["sqs:ChangeMessageVisibility"],
    ),
    ("SQS", "SendMessage", &["sqs:SendMessage"]),
    ("SQS", "SendMessageBatch", &["sqs:SendMessage"]),
];

/// The actions that an operation needs; `None` if nobody has said so yet.
pub fn actions(service: &str, operation: &str) -> Option<&'static [&'static str]> {
    ACTIONS
        .iter()
        .find(|(of, name, _)| *of == service && *name == operation)
        .map(|(_, _, actions)| *actions)
}
