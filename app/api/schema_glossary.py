"""Descriptions of the schemas' fields whose meaning depends on the schema."""

from __future__ import annotations

_CODE = "Stable code for programs, e.g. `disk-full`; docs/reference/api.md lists all codes."
_RUN_STATUS = "Status of the run."
_PRICE_KIND = "`on_demand`, `spot`, `reserved` or `internal` (hardware that the lab owns)."
_FACTOR_KIND = "Kind of factor, e.g. `pue`; docs/how-to/factors.md lists all kinds."
_DEVICE_KIND = "Kind of component: `gpu`, `cpu` or `ram`."

IN_SCHEMA: dict[str, dict[str, str]] = {
    "ArtifactRead": {"name": "Name of the artifact."},
    "AttemptOfPriceTag": {
        "status": "How the attempt ended: `succeeded`, `failed`, `cancelled`, `interrupted` or "
        "`lost`.",
        "cost": "Cost of the attempt.",
    },
    "AttemptPower": {"status": "Status of the attempt."},
    "AttemptRead": {
        "status": "Status of the attempt.",
        "reason": "Reason why the attempt did not succeed; null otherwise.",
    },
    "AuditRead": {"id": "Number of the entry; later entries have higher numbers."},
    "BudgetChange": {
        "amount": "New limit, in the budget's unit.",
        "name": "New name of the budget.",
        "thresholds": "Fractions of the amount at which to warn.",
        "refuses": "Whether to reject runs whose quote exceeds the amount left.",
        "stops": "Whether to stop running jobs when the budget is used up.",
    },
    "BudgetCreate": {
        "name": "Name of the budget.",
        "scope": "What the budget covers: the `lab`, a `project`, an `experiment` or a `user`.",
        "experiment": "Name of the experiment, for the scope `experiment`.",
    },
    "BudgetRead": {
        "name": "Name of the budget.",
        "project": "Name of the project; null for budgets of the lab or of a user.",
        "experiment": "Name of the experiment; null for other scopes.",
        "refuses": "Whether runs whose quote exceeds the amount left are rejected.",
        "scope": "What the budget covers: the `lab`, a `project`, an `experiment` or a `user`.",
        "stops": "Whether running jobs are stopped when the budget is used up.",
        "thresholds": "Fractions of the amount at which to warn (0.8 is 80%).",
        "user_id": "ID of the user; null for other scopes.",
    },
    "CarbonFetch": {"start": "First hour (ISO 8601 with time zone)."},
    "ComparedRun": {"name": "Name of the run.", "value": "The compared figure; null if unknown."},
    "ComparedSide": {"runs": "Runs of the group."},
    "ComparisonRead": {
        "a": "First group.",
        "b": "Second group.",
        "metric": "Compared figure.",
    },
    "ComponentOfPriceTag": {
        "id": "ID of the component on its node, e.g. the UUID of a GPU, `cpu` or `ram`.",
        "kind": _DEVICE_KIND,
        "method": "How the energy was measured: `counter`, `integrated` or `modelled`.",
        "name": "Product name of the device.",
        "notes": "Details of the model or meter; null if there are none.",
    },
    "ComponentOpinionOfPriceTag": {"kind": _DEVICE_KIND},
    "DeviceCountOfPriceTag": {"kind": _DEVICE_KIND, "name": "Product name of the devices."},
    "Distill": {
        "method": "Method of distillation.",
        "student": "Shape and first weights of the student.",
        "temperature": "Temperature by which the logits are divided.",
    },
    "DistillPkd": {
        "method": "Method of distillation.",
        "student": "Shape and first weights of the student.",
        "temperature": "Temperature by which the logits are divided.",
    },
    "EmbodiedFactorOfPriceTag": {"subject": "Product name of the accelerator, or `server`."},
    "EnergyAccount": {"from": "Beginning of the first hour (UTC)."},
    "EnergyItem": {"kind": _DEVICE_KIND},
    "ErrorBudgetOfPriceTag": {
        "co2e": "Causes of error of the emissions.",
        "cost": "Causes of error of the cost.",
    },
    "ExperimentRead": {"name": "Name of the experiment."},
    "ExplanationOfPriceTag": {"text": "The cause in words."},
    "ExternalIdentity": {"subject": "The user's stable ID (`sub`) at the provider."},
    "ExternalIdentityRead": {"subject": "The user's stable ID (`sub`) at the provider."},
    "FactorEntered": {"kind": _FACTOR_KIND},
    "FactorNow": {"kind": _FACTOR_KIND, "value": "Value of the factor, in `unit`."},
    "FactorOfPriceTag": {
        "source": "Kind of evidence, from the strongest to the weakest: `counter`, `integrated`, "
        "`modelled`, `estimated` or `assumed`.",
        "value": "Value of the factor, in `unit`.",
    },
    "FactorRead": {"kind": _FACTOR_KIND},
    "FieldProblem": {"message": "What is wrong with the field."},
    "FromScratch": {"config": "Shape of the model."},
    "Headline": {
        "co2e_kg": "Emissions, in kg CO2e; null if unknown.",
        "duration_s": "Run time of all attempts, in seconds; null if unknown.",
        "facility_energy_kwh": "IT energy x PUE, in kWh; null if unknown.",
        "it_energy_kwh": "Energy charged by the meters, in kWh; null if unknown.",
    },
    "Health": {"status": "`ok` while the server runs.", "version": "Version of Pricetag."},
    "HourGap": {"first": "First missing hour (UTC).", "hours": "Number of missing hours."},
    "HourlyFactorOfPriceTag": {"factor": "Mean of the hourly values, with error and source."},
    "LogRead": {"text": "The line, without its line feed."},
    "Me": {"user": "User of the token."},
    "MeToken": {"name": "Purpose of the token."},
    "MemberRead": {"created_at": "Time at which the user became a member (UTC)."},
    "MetricRead": {
        "name": "Name of the metric, e.g. `accuracy` or `loss`.",
        "split": "Data split: `train`, `validation` or `test`; null without one.",
        "unit": "Unit of the value; null without one.",
    },
    "NodeRead": {"name": "Name of the node."},
    "PowerSeries": {
        "duration_s": "Length of each point's interval, in seconds.",
        "kind": _DEVICE_KIND,
        "name": "Product name of the device; null if unknown.",
    },
    "PriceCreate": {
        "unit": "Unit of the amount: an hour of one device.",
        "kind": _PRICE_KIND,
        "valid_from": "Start of validity (ISO 8601 with time zone).",
    },
    "PriceEntered": {"kind": _PRICE_KIND, "unit": "Unit of the amount: `device_hour`."},
    "PriceImport": {"format": "Format of the file."},
    "PriceRead": {"kind": _PRICE_KIND, "unit": "Unit of the amount: `device_hour`."},
    "PriceTagRead": {
        "cost": "Cost of the run.",
        "name": "Name of the run.",
        "schema": "Version of this format, e.g. `pricetag/1`.",
    },
    "PriceTagVersion": {"cost": "Total cost; null in accounting version 1."},
    "Problem": {
        "detail": "What is wrong and what to do, for people.",
        "errors": "Every invalid field.",
        "status": "HTTP status of the response.",
        "title": "The error code in words.",
        "type": "URN of this kind of error.",
    },
    "ProjectChange": {
        "description": "New description of the project.",
        "visibility": "`open`: visible to everybody with a token; `private`: to members only.",
    },
    "ProjectRead": {"name": "Name of the project."},
    "Prune": {
        "method": "Criterion of the weights to remove.",
        "mode": "Prune at once, or step by step in `rounds`.",
        "scope": "Rank the weights of all matrices together, or of each matrix.",
    },
    "ProvenanceOfPriceTag": {"factors": "All factors that were applied, with their sources."},
    "QualityOfPriceTag": {
        "metric": "Name of the metric, e.g. `accuracy`.",
        "split": "Data split: `train`, `validation` or `test`; null without one.",
        "unit": "Unit of the value; null without one.",
        "value": "Score; null with a `reason`.",
    },
    "Quantize": {"scheme": "Format of the weights."},
    "Quantity": {
        "source": "Weakest evidence behind the value, from the strongest kind to the weakest: "
        "`counter`, `integrated`, `modelled`, `estimated` or `assumed`; null if unknown.",
    },
    "QuoteCreate": {
        "devices": "Number of devices.",
        "hours": "Duration of the job (hours).",
        "pue": "Power usage effectiveness of the site (1 or more).",
    },
    "Readiness": {"status": "`ready` when the server can serve requests."},
    "Reason": {"code": _CODE, "message": "The reason in words."},
    "Recipe": {"task": "What the model learns.", "data": "Data sets, with their columns."},
    "RecipeRead": {"title": "Short title.", "kind": "Name of the stage kind."},
    "RejectedReason": {"reason": "Reason for the rejection."},
    "ReportCreate": {"title": "Title of the report."},
    "ReportFilter": {
        "project": "Only runs of this project.",
        "experiment": "Only runs of this experiment.",
        "kind": "Only runs with a stage of this kind, or with exactly these, e.g. `train+measure`.",
        "status": "Only runs with one of these statuses.",
        "tags": "Only runs with all of these tags.",
    },
    "ReportRead": {"title": "Title of the report."},
    "ReportSummary": {"title": "Title of the report."},
    "Resources": {"gpus": "Number of accelerators; 0 for a run on the CPU."},
    "RunAccepted": {"status": _RUN_STATUS, "name": "Name of the run.", "url": "Path of the run."},
    "RunCount": {"runs": "Number of matching runs, up to 10,000."},
    "RunCreate": {
        "experiment": "Name of the experiment; created if it does not exist.",
        "max_attempts": "Maximum number of attempts: lost and interrupted ones are repeated.",
        "name": "Name of the run.",
        "project": "Name of the project; created if it does not exist.",
        "tags": "Tags by which the run can be found.",
    },
    "RunQuoteCreate": {"run": "The run to quote, as it would be posted."},
    "RunQuoteRead": {
        "method": "Basis of the quote: `history` (similar runs), `flops` or `unknown`.",
        "text": "Basis of the quote, in words.",
    },
    "RunRead": {"status": _RUN_STATUS, "name": "Name of the run."},
    "RunScoreRead": {"status": _RUN_STATUS},
    "RunSummary": {"status": _RUN_STATUS, "name": "Name of the run."},
    "ScoreGroup": {"method": "Basis of the quotes: `history` (similar runs) or `flops`."},
    "ScoreRead": {"runs": "Number of scored runs."},
    "SecondOpinionOfPriceTag": {
        "components": "Both figures by kind of component.",
        "total": "Both figures for all components together.",
        "version": "Version of the other tool; null if unknown.",
    },
    "SiteCreate": {"description": "Description of the site."},
    "SiteFactors": {
        "at": "Time for which the factors apply (UTC).",
        "factors": "Factors that apply, each with its source.",
        "name": "Name of the site.",
    },
    "SiteRead": {"name": "Name of the site."},
    "SiteUpdate": {"description": "New description of the site."},
    "StageOfPriceTag": {
        "kind": "Stage kind, e.g. `train`.",
        "name": "Name of the stage.",
        "status": "How the stage ended: `succeeded`, `failed`, `reused` (finished by an earlier "
        "attempt), `cancelled`, `interrupted` or `lost`.",
    },
    "StageRead": {
        "kind": "Stage kind, e.g. `train`.",
        "name": "Name of the stage.",
        "start_s": "Start of the stage, in seconds since the attempt's meter opened.",
        "status": "Status of the stage, e.g. `running`, `succeeded` or `reused`.",
    },
    "StoredQuoteRead": {
        "method": "Basis of the quote: `history` (similar runs), `flops` or `unknown`.",
        "text": "Basis of the quote, in words.",
    },
    "Student": {
        "hidden_size": "Width of the hidden states. Default: the teacher's.",
        "intermediate_size": "Width of the feed-forward layers. Default: the teacher's.",
        "layers": "Layers of the teacher to keep: a list, a number or a rule.",
        "num_attention_heads": "Attention heads per layer. Default: the teacher's.",
    },
    "TokenCreated": {"name": "Purpose of the token."},
    "TokenRead": {"name": "Purpose of the token."},
    "UpstreamRun": {"status": _RUN_STATUS, "name": "Name of the run.", "cost": "Cost of the run."},
    "UserChange": {
        "email": "New e-mail address.",
        "name": "New name of the user.",
        "role": "New role, which limits all tokens of the user.",
        "external_identity": "New identity at an identity provider.",
    },
    "UserCreate": {"name": "Name of the user."},
    "UserRead": {"name": "Name of the user."},
    "VerificationStep": {
        "status": "`ok`, `differs`, or `not-checked` if the check was not possible.",
        "step": "Name of the check: the hash, the measurements from the readings, or the figures "
        "from the measurements and factors.",
    },
}
"""Descriptions of fields whose meaning depends on the schema."""
