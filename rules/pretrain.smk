# In:  the shards and their indexes, or image sets from outside
# Out: results/pretrain/index_images/{images}.parquet               where the images of a set lie
#      results/pretrain/train/{run}/encoder.safetensors            the trained encoder, torchvision layout
#      results/pretrain/train/{run}/untrained_encoder.safetensors  the same before the first step
#      results/pretrain/train/{run}/head.safetensors               its projection head
#      results/pretrain/train/{run}/metrics.csv
#      results/pretrain/train/{run}/cost.json                      time and hardware: the one output that differs between runs
#      results/pretrain/write_model_card/{run}.md                  quotes it
# last.ckpt in the same folder is not declared, because Snakemake deletes the declared outputs of a failed job: an
# interrupted run continues from it.


# Where a set lies is a resource: it reaches the step, and moving the set reruns nothing.
rule index_images:
    input:
        lambda wc: PLAN.image_set_inputs(wc.images),
    output:
        "results/pretrain/index_images/{images}.parquet",
    log:
        "logs/pretrain/index_images/{images}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=720,
        root=lambda wc: PLAN.images_root(wc.images),
    params:
        recipe=lambda wc: PLAN.index_images_recipe(wc.images),
        code=PLAN.code("pretrain.index_images"),
    shell:
        "python -m scripts.pretrain.index_images --recipe {params.recipe:q} --root={resources.root:q}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule train:
    input:
        shards=lambda wc: PLAN.train_shards(wc.run),
        indexes=lambda wc: PLAN.train_indexes(wc.run),
    output:
        encoder="results/pretrain/train/{run}/encoder.safetensors",
        untrained="results/pretrain/train/{run}/untrained_encoder.safetensors",
        head="results/pretrain/train/{run}/head.safetensors",
        metrics="results/pretrain/train/{run}/metrics.csv",
        cost="results/pretrain/train/{run}/cost.json",
    log:
        "logs/pretrain/train/{run}.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
        root=lambda wc: PLAN.images_root(PLAN.run(wc.run).images),
    params:
        recipe=lambda wc: PLAN.train_recipe(wc.run),
        code=lambda wc: PLAN.code(
            "pretrain.train",
            "pretrain.methods",
            [PLAN.run(wc.run).method],
            PLAN.run(wc.run).encoder,
            PLAN.run(wc.run).augmentation_backend,
        ),
    shell:
        "python -m scripts.pretrain.train --recipe {params.recipe:q} --shards {input.shards} --indexes {input.indexes}"
        " --root={resources.root:q}"
        " --threads {threads} --encoder {output.encoder} --untrained {output.untrained} --head {output.head}"
        " --metrics {output.metrics} --cost {output.cost} --log {log}"


# Metadata and leak rate are of the shards: a run on an image set has neither.
rule write_model_card:
    input:
        encoder="results/pretrain/train/{run}/encoder.safetensors",
        head="results/pretrain/train/{run}/head.safetensors",
        cost="results/pretrain/train/{run}/cost.json",
        metadata=lambda wc: PLAN.if_curated(wc.run, ["results/shard/write_metadata/metadata.parquet"]),
        leak_rate=lambda wc: PLAN.if_curated(wc.run, PLAN.leak_rate),
    output:
        "results/pretrain/write_model_card/{run}.md",
    log:
        "logs/pretrain/write_model_card/{run}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        recipe=lambda wc: PLAN.write_model_card_recipe(wc.run),
        code=PLAN.code("pretrain.write_model_card"),
    shell:
        "python -m scripts.pretrain.write_model_card --recipe {params.recipe:q} --encoder {input.encoder} --head {input.head}"
        " --cost {input.cost} --metadata={input.metadata:q} --leak-rate={input.leak_rate:q} --out {output} > {log} 2>&1"
