# In:  the shards and their indexes
# Out: results/pretrain/train/{run}/encoder.safetensors            the trained encoder, torchvision layout
#      results/pretrain/train/{run}/untrained_encoder.safetensors  the same before the first step
#      results/pretrain/train/{run}/head.safetensors               its projection head
#      results/pretrain/train/{run}/metrics.csv
#      results/pretrain/train/{run}/cost.json                      time and hardware: the one output that differs between runs
# last.ckpt in the same folder is not declared, because Snakemake deletes the declared outputs of a failed job: an
# interrupted run continues from it.


rule train:
    input:
        shards=expand("results/shard/write_shards/{shard}.tar", shard=PLAN.shards),
        indexes=expand("results/shard/write_shards/{shard}.parquet", shard=PLAN.shards),
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
        " --threads {threads} --encoder {output.encoder} --untrained {output.untrained} --head {output.head}"
        " --metrics {output.metrics} --cost {output.cost} --log {log}"
