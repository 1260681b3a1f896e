# In:  the shards and their indexes
# Out: results/pretrain/train/{run}/encoder.safetensors            the trained encoder, torchvision layout
#      results/pretrain/train/{run}/untrained_encoder.safetensors  the same before the first step
#      results/pretrain/train/{run}/metrics.csv, monitor.csv       loss and the like; kNN and RankMe while it trains
#      results/pretrain/train/{run}/views.png                      one batch's views, written before the first step
#      results/pretrain/diagnose_run/{run}.json                    what they say, in words
# last.ckpt in the same folder is not declared, because Snakemake deletes the declared outputs of a failed job: an
# interrupted run continues from it.


rule train:
    input:
        shards=expand("results/shard/write_shards/{shard}.tar", shard=PLAN.shards),
        indexes=expand("results/shard/write_shards/{shard}.parquet", shard=PLAN.shards),
        monitor_sample=PLAN.monitor_sample,
    output:
        encoder="results/pretrain/train/{run}/encoder.safetensors",
        untrained="results/pretrain/train/{run}/untrained_encoder.safetensors",
        metrics="results/pretrain/train/{run}/metrics.csv",
        monitor="results/pretrain/train/{run}/monitor.csv",
        views="results/pretrain/train/{run}/views.png",
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
        monitor=lambda wc: PLAN.monitor_recipe(),
        code=lambda wc: PLAN.code(
            "pretrain.train",
            "pretrain.methods",
            [PLAN.run(wc.run).method],
            PLAN.run(wc.run).encoder,
            PLAN.run(wc.run).augmentation_backend,
        ),
    shell:
        "python -m scripts.pretrain.train --recipe {params.recipe:q} --shards {input.shards} --indexes {input.indexes}"
        " --threads {threads} --encoder {output.encoder} --untrained {output.untrained} --metrics {output.metrics}"
        " --monitor {output.monitor} --views {output.views} --monitor-recipe={params.monitor:q}"
        " --monitor-sample={input.monitor_sample:q} --watch-folder logs/pretrain/train/{wildcards.run} --log {log}"


rule diagnose_run:
    input:
        metrics="results/pretrain/train/{run}/metrics.csv",
        monitor="results/pretrain/train/{run}/monitor.csv",
    output:
        "results/pretrain/diagnose_run/{run}.json",
    log:
        "logs/pretrain/diagnose_run/{run}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        recipe=lambda wc: PLAN.train_recipe(wc.run),
        code=PLAN.code("pretrain.diagnose_run"),
    shell:
        "python -m scripts.pretrain.diagnose_run --recipe {params.recipe:q} --metrics {input.metrics}"
        " --monitor {input.monitor} --out {output} > {log} 2>&1"
