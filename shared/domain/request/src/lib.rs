#![doc = include_str!("../README.md")]

mod base_url;
mod binary_image;
mod cancel;
mod catalog_repository;
mod chain;
mod claim;
mod created;
mod facts;
mod gating;
mod host;
mod ids;
mod kinds;
mod listing;
mod news;
mod output;
mod patch;
mod payload;
mod plan;
mod platform_version;
mod proxies;
mod queues;
mod record;
mod refusal;
mod scope;
mod settings;
mod stage;
mod state;
mod task;
mod trace_parent;
mod unknown;
mod update;
mod upload;
mod view;
mod work;

pub use base_url::{BaseUrl, NoBaseUrl};
pub use binary_image::{BinaryImageError, SCRATCH, settle_binary_image};
pub use cancel::NotCancelled;
pub use catalog_repository::{
    CATALOG_IN_GIT, GitRepositories, GitTokenError, branch_of, commit_message,
    is_safe_package_name, repository_of, revert_message, token_of,
};
pub use claim::Claim;
pub use created::created_after;
pub use facts::Facts;
pub use gating::{
    DEFAULT_QUEUE, GATED_SUBJECT, Gating, GatingByQueue, Judgement, NoJudgement, Unsatisfied,
    gated_subject, gating_of,
};
pub use host::is_host;
pub use ids::{BatchId, RequestId};
pub use kinds::{
    AddDeprecations, AddRequest, Annotations, BATCHES, BatchRow, CreateEmptyIndex, FbcOperations,
    KINDS, KindRow, MergeIndexImage, RecursiveRelatedBundles, RegenerateBundle, Request, RmRequest,
    Rollback, kind_names, shown_requests,
};
pub use listing::{Cursor, CursorMeta, Facets, Filters, Meta, Sought, Window, dry_run};
pub use news::{About, Destination, Message, News, Telling, messages};
pub use output::arch_tag;
pub use patch::{Members, Patch};
pub use payload::{LONGEST_IMAGE, Parameter, ParameterForm, Parameters, Payload, ReadContext};
pub use plan::{
    Built, BuiltLayer, BundlePlan, BundleToDeprecate, IndexForm, IndexPlan, IndexToOverwrite,
    IndexToRead, IndexView, PinnedBundle, Plan, PlanView, RelatedPlan, Serves,
};
pub use platform_version::{NoPlatformVersion, PlatformVersion};
pub use proxies::{NoNetwork, TrustedProxies};
pub use queues::{ALL_INDEXES, QueueOf, UserQueues, queue_of};
pub use record::{Committed, Overwritten, Record, RecordError, Siblings};
pub use refusal::{Refusal, Rule};
pub use scope::{Scope, ScopeError};
pub use settings::{
    ApiSettings, BinaryImages, OrganizationCustomizations, RegistryReplacements, RequestSettings,
    WorkSettings,
};
pub use stage::{Outcome, Stage, Transition};
pub use state::{State, StateEntry};
pub use task::Task;
pub use trace_parent::{NoTraceParent, TraceParent};
pub use unknown::Unknown;
pub use update::{NewState, Update};
pub use upload::{NoUploadKind, SecretRef, UploadKind};
pub use view::{Form, Operators, Shown, Stub, View, log_expiration};
pub use work::{Lease, LeaseToken, Nudged, Work};
