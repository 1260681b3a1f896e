# In:  weights from elsewhere, named in evaluate.encoders
# Out: results/evaluate/import_encoder/{encoder}.safetensors   the same as an encoder of this project, with what it is shown
# Encoders that were not trained here. Nothing is fetched but where the entry says so.


rule fetch_encoder:
    output:
        "results/evaluate/fetch_encoder/{encoder}.weights",
    log:
        "logs/evaluate/fetch_encoder/{encoder}.log",
    priority: 10
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.import_encoder_recipe(wc.encoder),
        code=lambda wc: PLAN.code("evaluate.fetch_encoder", "torch"),
    shell:
        "python -m scripts.evaluate.fetch_encoder --code={params.code:q} --recipe {params.recipe:q} --out {output} > {log} 2>&1"


rule import_encoder:
    input:
        lambda wc: PLAN.stranger_inputs(wc.encoder),
    output:
        "results/evaluate/import_encoder/{encoder}.safetensors",
    log:
        "logs/evaluate/import_encoder/{encoder}.log",
    priority: 10
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(30),
        weights=lambda wc: PLAN.stranger_weights(wc.encoder),
    params:
        recipe=lambda wc: PLAN.import_encoder_recipe(wc.encoder),
        like=lambda wc: PLAN.stranger_like(wc.encoder),
        data=lambda wc: stamp(PLAN.stranger_inputs(wc.encoder)),
        code=lambda wc: PLAN.code("evaluate.import_encoder", "torch", encoder=PLAN.stranger_architecture(wc.encoder)),
    shell:
        "python -m scripts.evaluate.import_encoder --code={params.code:q} --recipe {params.recipe:q} --weights={resources.weights:q}"
        " --like={params.like:q} --out {output} > {log} 2>&1"
