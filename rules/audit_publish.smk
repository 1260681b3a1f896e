# In:  results/ and records/ as they lie there, after `verify` has looked at all of them
# Out: results/audit/publish/, a folder that can be given to anybody; docs/publish.md


rule publish:
    log:
        "logs/audit/publish.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(600),
    params:
        config=lambda wc: canonical_json(config),
        code=lambda wc: PLAN.code("audit.publish", "data"),
    shell:
        "python -m scripts.audit.publish --code={params.code:q} --config={params.config:q} > {log} 2>&1"
