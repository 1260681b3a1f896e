# In:  results/ and records/ as they lie there: no rule here has inputs, so nothing is made before the audit looks
# Out: results/audit/{verify,selftest}.{html,json,xml}; no declared outputs, so each runs whenever it is asked for


rule verify:
    log:
        "logs/audit/verify.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=600,
    params:
        config=canonical_json(config),
        code=PLAN.code("audit.verify", "data"),
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
        mem_mb=8000,
        runtime=120,
    params:
        config=canonical_json(config),
        code=PLAN.code("audit.selftest", "data"),
    shell:
        "python -m scripts.audit.selftest --code={params.code:q} --config={params.config:q} 2> {log}"
