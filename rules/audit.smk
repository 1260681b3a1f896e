# In:  results/ and records/ as they lie there: no rule here has inputs, so nothing is made before the audit looks
# Out: results/audit/{verify,selftest,rebuild,segment,compare}.{html,json,xml}; no declared outputs, so each runs whenever it is asked for


rule verify:
    log:
        "logs/audit/verify.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(600),
    params:
        config=lambda wc: canonical_json(config),
        code=lambda wc: PLAN.code("audit.verify", "data"),
    shell:
        "python -m scripts.audit.verify --code={params.code:q} --config={params.config:q} 2> {log}"


# `snakemake audit`: the same under the name of the chapter.
use rule verify as audit with:
    log:
        "logs/audit/audit.log",


rule selftest:
    log:
        "logs/audit/selftest.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(120),
    params:
        config=lambda wc: canonical_json(config),
        code=lambda wc: PLAN.code("audit.selftest", "data"),
    shell:
        "python -m scripts.audit.selftest --code={params.code:q} --config={params.config:q} 2> {log}"


# What would run and why, against the records; `make why SCALE=scales/demo.yaml` prints it.
rule why:
    log:
        "logs/audit/why.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(30),
    params:
        config=lambda wc: canonical_json(config),
        code=lambda wc: PLAN.code("audit.why", "data"),
    shell:
        "python -m scripts.audit.why --code={params.code:q} --config={params.config:q} > {log} 2>&1"


rule rebuild:
    log:
        "logs/audit/rebuild.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(16000),
        runtime=grow(1440),
    params:
        code=lambda wc: PLAN.code("audit.rebuild", "torch"),
    shell:
        "python -m scripts.audit.rebuild --code={params.code:q} --parallel {threads} 2> {log}"


rule segment:
    log:
        "logs/audit/segment.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(1440),
    params:
        code=lambda wc: PLAN.code("audit.segment", "torch"),
    shell:
        "python -m scripts.audit.segment --code={params.code:q} 2> {log}"


rule compare:
    log:
        "logs/audit/compare.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        code=lambda wc: PLAN.code("audit.compare", "data"),
    shell:
        'python -m scripts.audit.compare --code={params.code:q} --other="${{UNPEOPLED_OTHER:-}}" 2> {log}'
