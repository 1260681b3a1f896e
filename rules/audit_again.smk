# In:  results/ and records/ as they lie there
# Out: results/audit/{rebuild,segment,compare}.{html,json,xml}; no declared outputs, so each runs whenever it is asked for


# Jobs again, in a scratch folder and under other circumstances.
rule rebuild:
    log:
        "logs/audit/rebuild.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=16000,
        runtime=1440,
    params:
        code=PLAN.code("audit.rebuild", "torch"),
    shell:
        "python -m scripts.audit.rebuild --code={params.code:q} --parallel {threads} > {log} 2>&1"


# Parts of trainings again, from the checkpoints that were kept.
rule segment:
    log:
        "logs/audit/segment.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
    params:
        code=PLAN.code("audit.segment", "torch"),
    shell:
        "python -m scripts.audit.segment --code={params.code:q} > {log} 2>&1"


# This run and another: UNPEOPLED_OTHER=<its folder, records or seal> snakemake compare
rule compare:
    log:
        "logs/audit/compare.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        code=PLAN.code("audit.compare", "data"),
    shell:
        "python -m scripts.audit.compare --code={params.code:q} --report results/audit"
        ' --other="${{UNPEOPLED_OTHER:?names the other run: its folder, records or seal}}" > {log} 2>&1'
