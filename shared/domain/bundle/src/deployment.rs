//! What the reference expects of the deployments in a CSV. It decodes them as typed Kubernetes
//! objects (`apps/v1` DeploymentSpec and what it is made of), so a wrong type anywhere in them
//! refuses the bundle (spec index-database §3 "Images"). Members that are not listed are not
//! looked at; rare volume sources are left out.

use crate::typed::Shape;

static OWNER: Shape = Shape::Struct(
    "v1.OwnerReference",
    &[
        ("apiVersion", Shape::Str),
        ("kind", Shape::Str),
        ("name", Shape::Str),
        ("uid", Shape::Str),
        ("controller", Shape::Bool),
        ("blockOwnerDeletion", Shape::Bool),
    ],
);
static MANAGED_FIELDS: Shape = Shape::Struct(
    "v1.ManagedFieldsEntry",
    &[
        ("manager", Shape::Str),
        ("operation", Shape::Str),
        ("apiVersion", Shape::Str),
        ("time", Shape::Time),
        ("fieldsType", Shape::Str),
        ("subresource", Shape::Str),
    ],
);
pub(crate) static OBJECT_META: Shape = Shape::Struct(
    "v1.ObjectMeta",
    &[
        ("name", Shape::Str),
        ("generateName", Shape::Str),
        ("namespace", Shape::Str),
        ("selfLink", Shape::Str),
        ("uid", Shape::Str),
        ("resourceVersion", Shape::Str),
        ("generation", Shape::Int64),
        ("creationTimestamp", Shape::Time),
        ("deletionTimestamp", Shape::Time),
        ("deletionGracePeriodSeconds", Shape::Int64),
        ("labels", Shape::Map("map[string]string", &Shape::Str)),
        ("annotations", Shape::Map("map[string]string", &Shape::Str)),
        (
            "ownerReferences",
            Shape::List("[]v1.OwnerReference", &Shape::Ref(&OWNER)),
        ),
        ("finalizers", Shape::List("[]string", &Shape::Str)),
        (
            "managedFields",
            Shape::List("[]v1.ManagedFieldsEntry", &Shape::Ref(&MANAGED_FIELDS)),
        ),
    ],
);
static SELECTOR_REQ: Shape = Shape::Struct(
    "v1.LabelSelectorRequirement",
    &[
        ("key", Shape::Str),
        ("operator", Shape::Str),
        ("values", Shape::List("[]string", &Shape::Str)),
    ],
);
pub(crate) static LABEL_SELECTOR: Shape = Shape::Struct(
    "v1.LabelSelector",
    &[
        ("matchLabels", Shape::Map("map[string]string", &Shape::Str)),
        (
            "matchExpressions",
            Shape::List("[]v1.LabelSelectorRequirement", &Shape::Ref(&SELECTOR_REQ)),
        ),
    ],
);
static NODE_SELECTOR_REQ: Shape = Shape::Struct(
    "v1.NodeSelectorRequirement",
    &[
        ("key", Shape::Str),
        ("operator", Shape::Str),
        ("values", Shape::List("[]string", &Shape::Str)),
    ],
);
static NODE_SELECTOR_TERM: Shape = Shape::Struct(
    "v1.NodeSelectorTerm",
    &[
        (
            "matchExpressions",
            Shape::List(
                "[]v1.NodeSelectorRequirement",
                &Shape::Ref(&NODE_SELECTOR_REQ),
            ),
        ),
        (
            "matchFields",
            Shape::List(
                "[]v1.NodeSelectorRequirement",
                &Shape::Ref(&NODE_SELECTOR_REQ),
            ),
        ),
    ],
);
static NODE_SELECTOR: Shape = Shape::Struct(
    "v1.NodeSelector",
    &[(
        "nodeSelectorTerms",
        Shape::List("[]v1.NodeSelectorTerm", &Shape::Ref(&NODE_SELECTOR_TERM)),
    )],
);
static PREFERRED_TERM: Shape = Shape::Struct(
    "v1.PreferredSchedulingTerm",
    &[
        ("weight", Shape::Int32),
        ("preference", Shape::Ref(&NODE_SELECTOR_TERM)),
    ],
);
static NODE_AFFINITY: Shape = Shape::Struct(
    "v1.NodeAffinity",
    &[
        (
            "requiredDuringSchedulingIgnoredDuringExecution",
            Shape::Ref(&NODE_SELECTOR),
        ),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            Shape::List("[]v1.PreferredSchedulingTerm", &Shape::Ref(&PREFERRED_TERM)),
        ),
    ],
);
static POD_AFFINITY_TERM: Shape = Shape::Struct(
    "v1.PodAffinityTerm",
    &[
        ("labelSelector", Shape::Ref(&LABEL_SELECTOR)),
        ("namespaces", Shape::List("[]string", &Shape::Str)),
        ("topologyKey", Shape::Str),
        ("namespaceSelector", Shape::Ref(&LABEL_SELECTOR)),
    ],
);
static WEIGHTED_TERM: Shape = Shape::Struct(
    "v1.WeightedPodAffinityTerm",
    &[
        ("weight", Shape::Int32),
        ("podAffinityTerm", Shape::Ref(&POD_AFFINITY_TERM)),
    ],
);
static POD_AFFINITY: Shape = Shape::Struct(
    "v1.PodAffinity",
    &[
        (
            "requiredDuringSchedulingIgnoredDuringExecution",
            Shape::List("[]v1.PodAffinityTerm", &Shape::Ref(&POD_AFFINITY_TERM)),
        ),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            Shape::List("[]v1.WeightedPodAffinityTerm", &Shape::Ref(&WEIGHTED_TERM)),
        ),
    ],
);
static POD_ANTI_AFFINITY: Shape = Shape::Struct(
    "v1.PodAntiAffinity",
    &[
        (
            "requiredDuringSchedulingIgnoredDuringExecution",
            Shape::List("[]v1.PodAffinityTerm", &Shape::Ref(&POD_AFFINITY_TERM)),
        ),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            Shape::List("[]v1.WeightedPodAffinityTerm", &Shape::Ref(&WEIGHTED_TERM)),
        ),
    ],
);
static AFFINITY: Shape = Shape::Struct(
    "v1.Affinity",
    &[
        ("nodeAffinity", Shape::Ref(&NODE_AFFINITY)),
        ("podAffinity", Shape::Ref(&POD_AFFINITY)),
        ("podAntiAffinity", Shape::Ref(&POD_ANTI_AFFINITY)),
    ],
);
static TOLERATION: Shape = Shape::Struct(
    "v1.Toleration",
    &[
        ("key", Shape::Str),
        ("operator", Shape::Str),
        ("value", Shape::Str),
        ("effect", Shape::Str),
        ("tolerationSeconds", Shape::Int64),
    ],
);
static SPREAD: Shape = Shape::Struct(
    "v1.TopologySpreadConstraint",
    &[
        ("maxSkew", Shape::Int32),
        ("topologyKey", Shape::Str),
        ("whenUnsatisfiable", Shape::Str),
        ("labelSelector", Shape::Ref(&LABEL_SELECTOR)),
        ("minDomains", Shape::Int32),
    ],
);
static LOCAL_REF: Shape = Shape::Struct("v1.LocalObjectReference", &[("name", Shape::Str)]);
static KEY_TO_PATH: Shape = Shape::Struct(
    "v1.KeyToPath",
    &[
        ("key", Shape::Str),
        ("path", Shape::Str),
        ("mode", Shape::Int32),
    ],
);
static FIELD_REF: Shape = Shape::Struct(
    "v1.ObjectFieldSelector",
    &[("apiVersion", Shape::Str), ("fieldPath", Shape::Str)],
);
static RESOURCE_FIELD: Shape = Shape::Struct(
    "v1.ResourceFieldSelector",
    &[
        ("containerName", Shape::Str),
        ("resource", Shape::Str),
        ("divisor", Shape::Quantity),
    ],
);
static CONFIG_KEY: Shape = Shape::Struct(
    "v1.ConfigMapKeySelector",
    &[
        ("name", Shape::Str),
        ("key", Shape::Str),
        ("optional", Shape::Bool),
    ],
);
static SECRET_KEY: Shape = Shape::Struct(
    "v1.SecretKeySelector",
    &[
        ("name", Shape::Str),
        ("key", Shape::Str),
        ("optional", Shape::Bool),
    ],
);
static ENV_SOURCE: Shape = Shape::Struct(
    "v1.EnvVarSource",
    &[
        ("fieldRef", Shape::Ref(&FIELD_REF)),
        ("resourceFieldRef", Shape::Ref(&RESOURCE_FIELD)),
        ("configMapKeyRef", Shape::Ref(&CONFIG_KEY)),
        ("secretKeyRef", Shape::Ref(&SECRET_KEY)),
    ],
);
static ENV: Shape = Shape::Struct(
    "v1.EnvVar",
    &[
        ("name", Shape::Str),
        ("value", Shape::Str),
        ("valueFrom", Shape::Ref(&ENV_SOURCE)),
    ],
);
static CONFIG_ENV: Shape = Shape::Struct(
    "v1.ConfigMapEnvSource",
    &[("name", Shape::Str), ("optional", Shape::Bool)],
);
static SECRET_ENV: Shape = Shape::Struct(
    "v1.SecretEnvSource",
    &[("name", Shape::Str), ("optional", Shape::Bool)],
);
static ENV_FROM: Shape = Shape::Struct(
    "v1.EnvFromSource",
    &[
        ("prefix", Shape::Str),
        ("configMapRef", Shape::Ref(&CONFIG_ENV)),
        ("secretRef", Shape::Ref(&SECRET_ENV)),
    ],
);
static PORT: Shape = Shape::Struct(
    "v1.ContainerPort",
    &[
        ("name", Shape::Str),
        ("hostPort", Shape::Int32),
        ("containerPort", Shape::Int32),
        ("protocol", Shape::Str),
        ("hostIP", Shape::Str),
    ],
);
static RESOURCES: Shape = Shape::Struct(
    "v1.ResourceRequirements",
    &[
        ("limits", Shape::Map("v1.ResourceList", &Shape::Quantity)),
        ("requests", Shape::Map("v1.ResourceList", &Shape::Quantity)),
    ],
);
static MOUNT: Shape = Shape::Struct(
    "v1.VolumeMount",
    &[
        ("name", Shape::Str),
        ("readOnly", Shape::Bool),
        ("mountPath", Shape::Str),
        ("subPath", Shape::Str),
        ("mountPropagation", Shape::Str),
        ("subPathExpr", Shape::Str),
    ],
);
static DEVICE: Shape = Shape::Struct(
    "v1.VolumeDevice",
    &[("name", Shape::Str), ("devicePath", Shape::Str)],
);
static EXEC: Shape = Shape::Struct(
    "v1.ExecAction",
    &[("command", Shape::List("[]string", &Shape::Str))],
);
static HEADER: Shape = Shape::Struct(
    "v1.HTTPHeader",
    &[("name", Shape::Str), ("value", Shape::Str)],
);
static HTTP_GET: Shape = Shape::Struct(
    "v1.HTTPGetAction",
    &[
        ("path", Shape::Str),
        ("port", Shape::IntOrStr),
        ("host", Shape::Str),
        ("scheme", Shape::Str),
        (
            "httpHeaders",
            Shape::List("[]v1.HTTPHeader", &Shape::Ref(&HEADER)),
        ),
    ],
);
static TCP: Shape = Shape::Struct(
    "v1.TCPSocketAction",
    &[("port", Shape::IntOrStr), ("host", Shape::Str)],
);
static GRPC: Shape = Shape::Struct(
    "v1.GRPCAction",
    &[("port", Shape::Int32), ("service", Shape::Str)],
);
static PROBE: Shape = Shape::Struct(
    "v1.Probe",
    &[
        ("exec", Shape::Ref(&EXEC)),
        ("httpGet", Shape::Ref(&HTTP_GET)),
        ("tcpSocket", Shape::Ref(&TCP)),
        ("grpc", Shape::Ref(&GRPC)),
        ("initialDelaySeconds", Shape::Int32),
        ("timeoutSeconds", Shape::Int32),
        ("periodSeconds", Shape::Int32),
        ("successThreshold", Shape::Int32),
        ("failureThreshold", Shape::Int32),
        ("terminationGracePeriodSeconds", Shape::Int64),
    ],
);
static HANDLER: Shape = Shape::Struct(
    "v1.LifecycleHandler",
    &[
        ("exec", Shape::Ref(&EXEC)),
        ("httpGet", Shape::Ref(&HTTP_GET)),
        ("tcpSocket", Shape::Ref(&TCP)),
    ],
);
static LIFECYCLE: Shape = Shape::Struct(
    "v1.Lifecycle",
    &[
        ("postStart", Shape::Ref(&HANDLER)),
        ("preStop", Shape::Ref(&HANDLER)),
    ],
);
static CAPABILITIES: Shape = Shape::Struct(
    "v1.Capabilities",
    &[
        ("add", Shape::List("[]string", &Shape::Str)),
        ("drop", Shape::List("[]string", &Shape::Str)),
    ],
);
static SELINUX: Shape = Shape::Struct(
    "v1.SELinuxOptions",
    &[
        ("user", Shape::Str),
        ("role", Shape::Str),
        ("type", Shape::Str),
        ("level", Shape::Str),
    ],
);
static SECCOMP: Shape = Shape::Struct(
    "v1.SeccompProfile",
    &[("type", Shape::Str), ("localhostProfile", Shape::Str)],
);
static SECURITY: Shape = Shape::Struct(
    "v1.SecurityContext",
    &[
        ("capabilities", Shape::Ref(&CAPABILITIES)),
        ("privileged", Shape::Bool),
        ("seLinuxOptions", Shape::Ref(&SELINUX)),
        ("runAsUser", Shape::Int64),
        ("runAsGroup", Shape::Int64),
        ("runAsNonRoot", Shape::Bool),
        ("readOnlyRootFilesystem", Shape::Bool),
        ("allowPrivilegeEscalation", Shape::Bool),
        ("procMount", Shape::Str),
        ("seccompProfile", Shape::Ref(&SECCOMP)),
    ],
);
static SYSCTL: Shape = Shape::Struct("v1.Sysctl", &[("name", Shape::Str), ("value", Shape::Str)]);
static POD_SECURITY: Shape = Shape::Struct(
    "v1.PodSecurityContext",
    &[
        ("seLinuxOptions", Shape::Ref(&SELINUX)),
        ("runAsUser", Shape::Int64),
        ("runAsGroup", Shape::Int64),
        ("runAsNonRoot", Shape::Bool),
        ("supplementalGroups", Shape::List("[]int64", &Shape::Int64)),
        ("fsGroup", Shape::Int64),
        ("sysctls", Shape::List("[]v1.Sysctl", &Shape::Ref(&SYSCTL))),
        ("fsGroupChangePolicy", Shape::Str),
        ("seccompProfile", Shape::Ref(&SECCOMP)),
    ],
);
static CONTAINER: Shape = Shape::Struct(
    "v1.Container",
    &[
        ("name", Shape::Str),
        ("image", Shape::Str),
        ("command", Shape::List("[]string", &Shape::Str)),
        ("args", Shape::List("[]string", &Shape::Str)),
        ("workingDir", Shape::Str),
        (
            "ports",
            Shape::List("[]v1.ContainerPort", &Shape::Ref(&PORT)),
        ),
        (
            "envFrom",
            Shape::List("[]v1.EnvFromSource", &Shape::Ref(&ENV_FROM)),
        ),
        ("env", Shape::List("[]v1.EnvVar", &Shape::Ref(&ENV))),
        ("resources", Shape::Ref(&RESOURCES)),
        (
            "volumeMounts",
            Shape::List("[]v1.VolumeMount", &Shape::Ref(&MOUNT)),
        ),
        (
            "volumeDevices",
            Shape::List("[]v1.VolumeDevice", &Shape::Ref(&DEVICE)),
        ),
        ("livenessProbe", Shape::Ref(&PROBE)),
        ("readinessProbe", Shape::Ref(&PROBE)),
        ("startupProbe", Shape::Ref(&PROBE)),
        ("lifecycle", Shape::Ref(&LIFECYCLE)),
        ("terminationMessagePath", Shape::Str),
        ("terminationMessagePolicy", Shape::Str),
        ("imagePullPolicy", Shape::Str),
        ("securityContext", Shape::Ref(&SECURITY)),
        ("stdin", Shape::Bool),
        ("stdinOnce", Shape::Bool),
        ("tty", Shape::Bool),
    ],
);
static HOST_PATH: Shape = Shape::Struct(
    "v1.HostPathVolumeSource",
    &[("path", Shape::Str), ("type", Shape::Str)],
);
static EMPTY_DIR: Shape = Shape::Struct(
    "v1.EmptyDirVolumeSource",
    &[("medium", Shape::Str), ("sizeLimit", Shape::Quantity)],
);
static SECRET_VOLUME: Shape = Shape::Struct(
    "v1.SecretVolumeSource",
    &[
        ("secretName", Shape::Str),
        (
            "items",
            Shape::List("[]v1.KeyToPath", &Shape::Ref(&KEY_TO_PATH)),
        ),
        ("defaultMode", Shape::Int32),
        ("optional", Shape::Bool),
    ],
);
static CONFIG_VOLUME: Shape = Shape::Struct(
    "v1.ConfigMapVolumeSource",
    &[
        ("name", Shape::Str),
        (
            "items",
            Shape::List("[]v1.KeyToPath", &Shape::Ref(&KEY_TO_PATH)),
        ),
        ("defaultMode", Shape::Int32),
        ("optional", Shape::Bool),
    ],
);
static CLAIM: Shape = Shape::Struct(
    "v1.PersistentVolumeClaimVolumeSource",
    &[("claimName", Shape::Str), ("readOnly", Shape::Bool)],
);
static DOWNWARD_FILE: Shape = Shape::Struct(
    "v1.DownwardAPIVolumeFile",
    &[
        ("path", Shape::Str),
        ("fieldRef", Shape::Ref(&FIELD_REF)),
        ("resourceFieldRef", Shape::Ref(&RESOURCE_FIELD)),
        ("mode", Shape::Int32),
    ],
);
static DOWNWARD: Shape = Shape::Struct(
    "v1.DownwardAPIVolumeSource",
    &[
        (
            "items",
            Shape::List("[]v1.DownwardAPIVolumeFile", &Shape::Ref(&DOWNWARD_FILE)),
        ),
        ("defaultMode", Shape::Int32),
    ],
);
static SECRET_PROJECTION: Shape = Shape::Struct(
    "v1.SecretProjection",
    &[
        ("name", Shape::Str),
        (
            "items",
            Shape::List("[]v1.KeyToPath", &Shape::Ref(&KEY_TO_PATH)),
        ),
        ("optional", Shape::Bool),
    ],
);
static CONFIG_PROJECTION: Shape = Shape::Struct(
    "v1.ConfigMapProjection",
    &[
        ("name", Shape::Str),
        (
            "items",
            Shape::List("[]v1.KeyToPath", &Shape::Ref(&KEY_TO_PATH)),
        ),
        ("optional", Shape::Bool),
    ],
);
static DOWNWARD_PROJECTION: Shape = Shape::Struct(
    "v1.DownwardAPIProjection",
    &[(
        "items",
        Shape::List("[]v1.DownwardAPIVolumeFile", &Shape::Ref(&DOWNWARD_FILE)),
    )],
);
static TOKEN_PROJECTION: Shape = Shape::Struct(
    "v1.ServiceAccountTokenProjection",
    &[
        ("audience", Shape::Str),
        ("expirationSeconds", Shape::Int64),
        ("path", Shape::Str),
    ],
);
static PROJECTION: Shape = Shape::Struct(
    "v1.VolumeProjection",
    &[
        ("secret", Shape::Ref(&SECRET_PROJECTION)),
        ("downwardAPI", Shape::Ref(&DOWNWARD_PROJECTION)),
        ("configMap", Shape::Ref(&CONFIG_PROJECTION)),
        ("serviceAccountToken", Shape::Ref(&TOKEN_PROJECTION)),
    ],
);
static PROJECTED: Shape = Shape::Struct(
    "v1.ProjectedVolumeSource",
    &[
        (
            "sources",
            Shape::List("[]v1.VolumeProjection", &Shape::Ref(&PROJECTION)),
        ),
        ("defaultMode", Shape::Int32),
    ],
);
static CSI: Shape = Shape::Struct(
    "v1.CSIVolumeSource",
    &[
        ("driver", Shape::Str),
        ("readOnly", Shape::Bool),
        ("fsType", Shape::Str),
        (
            "volumeAttributes",
            Shape::Map("map[string]string", &Shape::Str),
        ),
        ("nodePublishSecretRef", Shape::Ref(&LOCAL_REF)),
    ],
);
static DATA_SOURCE: Shape = Shape::Struct(
    "v1.TypedLocalObjectReference",
    &[
        ("apiGroup", Shape::Str),
        ("kind", Shape::Str),
        ("name", Shape::Str),
    ],
);
static CLAIM_SPEC: Shape = Shape::Struct(
    "v1.PersistentVolumeClaimSpec",
    &[
        (
            "accessModes",
            Shape::List("[]v1.PersistentVolumeAccessMode", &Shape::Str),
        ),
        ("selector", Shape::Ref(&LABEL_SELECTOR)),
        ("resources", Shape::Ref(&RESOURCES)),
        ("volumeName", Shape::Str),
        ("storageClassName", Shape::Str),
        ("volumeMode", Shape::Str),
        ("dataSource", Shape::Ref(&DATA_SOURCE)),
        ("dataSourceRef", Shape::Ref(&DATA_SOURCE)),
    ],
);
static CLAIM_TEMPLATE: Shape = Shape::Struct(
    "v1.PersistentVolumeClaimTemplate",
    &[
        ("metadata", Shape::Ref(&OBJECT_META)),
        ("spec", Shape::Ref(&CLAIM_SPEC)),
    ],
);
static EPHEMERAL: Shape = Shape::Struct(
    "v1.EphemeralVolumeSource",
    &[("volumeClaimTemplate", Shape::Ref(&CLAIM_TEMPLATE))],
);
static NFS: Shape = Shape::Struct(
    "v1.NFSVolumeSource",
    &[
        ("server", Shape::Str),
        ("path", Shape::Str),
        ("readOnly", Shape::Bool),
    ],
);
static VOLUME: Shape = Shape::Struct(
    "v1.Volume",
    &[
        ("name", Shape::Str),
        ("hostPath", Shape::Ref(&HOST_PATH)),
        ("emptyDir", Shape::Ref(&EMPTY_DIR)),
        ("secret", Shape::Ref(&SECRET_VOLUME)),
        ("configMap", Shape::Ref(&CONFIG_VOLUME)),
        ("persistentVolumeClaim", Shape::Ref(&CLAIM)),
        ("downwardAPI", Shape::Ref(&DOWNWARD)),
        ("projected", Shape::Ref(&PROJECTED)),
        ("csi", Shape::Ref(&CSI)),
        ("nfs", Shape::Ref(&NFS)),
        ("ephemeral", Shape::Ref(&EPHEMERAL)),
    ],
);
static HOST_ALIAS: Shape = Shape::Struct(
    "v1.HostAlias",
    &[
        ("ip", Shape::Str),
        ("hostnames", Shape::List("[]string", &Shape::Str)),
    ],
);
static DNS_OPTION: Shape = Shape::Struct(
    "v1.PodDNSConfigOption",
    &[("name", Shape::Str), ("value", Shape::Str)],
);
static DNS: Shape = Shape::Struct(
    "v1.PodDNSConfig",
    &[
        ("nameservers", Shape::List("[]string", &Shape::Str)),
        ("searches", Shape::List("[]string", &Shape::Str)),
        (
            "options",
            Shape::List("[]v1.PodDNSConfigOption", &Shape::Ref(&DNS_OPTION)),
        ),
    ],
);
static GATE: Shape = Shape::Struct("v1.PodReadinessGate", &[("conditionType", Shape::Str)]);
static POD_OS: Shape = Shape::Struct("v1.PodOS", &[("name", Shape::Str)]);
static POD_SPEC: Shape = Shape::Struct(
    "v1.PodSpec",
    &[
        ("volumes", Shape::List("[]v1.Volume", &Shape::Ref(&VOLUME))),
        (
            "initContainers",
            Shape::List("[]v1.Container", &Shape::Ref(&CONTAINER)),
        ),
        (
            "containers",
            Shape::List("[]v1.Container", &Shape::Ref(&CONTAINER)),
        ),
        // What they have beside the members of other containers is a text that nobody reads.
        (
            "ephemeralContainers",
            Shape::List("[]v1.EphemeralContainer", &Shape::Ref(&CONTAINER)),
        ),
        ("restartPolicy", Shape::Str),
        ("terminationGracePeriodSeconds", Shape::Int64),
        ("activeDeadlineSeconds", Shape::Int64),
        ("dnsPolicy", Shape::Str),
        ("nodeSelector", Shape::Map("map[string]string", &Shape::Str)),
        ("serviceAccountName", Shape::Str),
        ("serviceAccount", Shape::Str),
        ("automountServiceAccountToken", Shape::Bool),
        ("nodeName", Shape::Str),
        ("hostNetwork", Shape::Bool),
        ("hostPID", Shape::Bool),
        ("hostIPC", Shape::Bool),
        ("shareProcessNamespace", Shape::Bool),
        ("securityContext", Shape::Ref(&POD_SECURITY)),
        (
            "imagePullSecrets",
            Shape::List("[]v1.LocalObjectReference", &Shape::Ref(&LOCAL_REF)),
        ),
        ("hostname", Shape::Str),
        ("subdomain", Shape::Str),
        ("affinity", Shape::Ref(&AFFINITY)),
        ("schedulerName", Shape::Str),
        (
            "tolerations",
            Shape::List("[]v1.Toleration", &Shape::Ref(&TOLERATION)),
        ),
        (
            "hostAliases",
            Shape::List("[]v1.HostAlias", &Shape::Ref(&HOST_ALIAS)),
        ),
        ("priorityClassName", Shape::Str),
        ("priority", Shape::Int32),
        ("dnsConfig", Shape::Ref(&DNS)),
        (
            "readinessGates",
            Shape::List("[]v1.PodReadinessGate", &Shape::Ref(&GATE)),
        ),
        ("runtimeClassName", Shape::Str),
        ("enableServiceLinks", Shape::Bool),
        ("preemptionPolicy", Shape::Str),
        ("overhead", Shape::Map("v1.ResourceList", &Shape::Quantity)),
        (
            "topologySpreadConstraints",
            Shape::List("[]v1.TopologySpreadConstraint", &Shape::Ref(&SPREAD)),
        ),
        ("setHostnameAsFQDN", Shape::Bool),
        ("os", Shape::Ref(&POD_OS)),
        ("hostUsers", Shape::Bool),
    ],
);
static POD_TEMPLATE: Shape = Shape::Struct(
    "v1.PodTemplateSpec",
    &[
        ("metadata", Shape::Ref(&OBJECT_META)),
        ("spec", Shape::Ref(&POD_SPEC)),
    ],
);
static ROLLING: Shape = Shape::Struct(
    "v1.RollingUpdateDeployment",
    &[
        ("maxUnavailable", Shape::IntOrStr),
        ("maxSurge", Shape::IntOrStr),
    ],
);
static STRATEGY: Shape = Shape::Struct(
    "v1.DeploymentStrategy",
    &[
        ("type", Shape::Str),
        ("rollingUpdate", Shape::Ref(&ROLLING)),
    ],
);
pub(crate) static DEPLOYMENT_SPEC: Shape = Shape::Struct(
    "v1.DeploymentSpec",
    &[
        ("replicas", Shape::Int32),
        ("selector", Shape::Ref(&LABEL_SELECTOR)),
        ("template", Shape::Ref(&POD_TEMPLATE)),
        ("strategy", Shape::Ref(&STRATEGY)),
        ("minReadySeconds", Shape::Int32),
        ("revisionHistoryLimit", Shape::Int32),
        ("paused", Shape::Bool),
        ("progressDeadlineSeconds", Shape::Int32),
    ],
);
static DEPLOYMENT: Shape = Shape::Struct(
    "registry.dep",
    &[("Name", Shape::Str), ("Spec", Shape::Ref(&DEPLOYMENT_SPEC))],
);
static INSTALL_SPEC: Shape = Shape::Struct(
    "registry.strategySpec",
    &[(
        "Deployments",
        Shape::List("[]registry.dep", &Shape::Ref(&DEPLOYMENT)),
    )],
);
static INSTALL: Shape = Shape::Struct(
    "registry.strategy",
    &[
        ("strategy", Shape::Str),
        ("spec", Shape::Ref(&INSTALL_SPEC)),
    ],
);
pub(crate) static CSV_SPEC: Shape =
    Shape::Struct("registry.csvSpec", &[("Install", Shape::Ref(&INSTALL))]);
