# In:  the shards and their indexes, or image sets from outside
# Out: results/pretrain/index_images/{images}.parquet               where the images of a set lie
#      results/pretrain/train/{run}/encoder.safetensors            the trained encoder, torchvision layout
#      results/pretrain/train/{run}/untrained_encoder.safetensors  the same before the first step
#      results/pretrain/train/{run}/head.safetensors               its projection head
#      results/pretrain/train/{run}/metrics.csv, monitor.csv       loss and the like; kNN and RankMe while it trains
#      results/pretrain/train/{run}/trace.csv                      digests of images, weights and optimiser
#      results/pretrain/train/{run}/views.png                      one batch's views, written before the first step
#      results/pretrain/diagnose_run/{run}.json                    what they say, in words
#      results/pretrain/train/{run}/cost.json                      time and hardware: the one output that differs between runs
#      results/pretrain/write_model_card/{run}.md                  quotes it
# last.ckpt in the same folder is not declared, because Snakemake deletes the declared outputs of a failed job: an
# interrupted run continues from it.


# A set is no input, and where it lies is a resource: it reaches the step, and moving the set reruns nothing.
rule index_images:
    output:
        "results/pretrain/index_images/{images}.parquet",
    log:
        "logs/pretrain/index_images/{images}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 8
    resources:
        mem_mb=grow(8000),
        runtime=grow(720),
        root=lambda wc: PLAN.images_root(wc.images),
    params:
        recipe=lambda wc: PLAN.index_images_recipe(wc.images),
        code=lambda wc: PLAN.code("pretrain.index_images", "data"),
    shell:
        "python -m scripts.pretrain.index_images --code={params.code:q} --recipe {params.recipe:q} --root={resources.root:q}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule train:
    input:
        shards=lambda wc: PLAN.train_shards(wc.run),
        indexes=lambda wc: PLAN.train_indexes(wc.run),
        monitor_sample=PLAN.monitor_sample,
    output:
        encoder="results/pretrain/train/{run}/encoder.safetensors",
        untrained="results/pretrain/train/{run}/untrained_encoder.safetensors",
        head="results/pretrain/train/{run}/head.safetensors",
        metrics="results/pretrain/train/{run}/metrics.csv",
        monitor="results/pretrain/train/{run}/monitor.csv",
        trace="results/pretrain/train/{run}/trace.csv",
        views=shown("results/pretrain/train/{run}/views.png", "Training", "train", run="{run}", shows="first batch"),
        cost="results/pretrain/train/{run}/cost.json",
    log:
        "logs/pretrain/train/{run}.log",
    wildcard_constraints:
        run=PLAN.runs_on(several_nodes=False),
    conda:
        "../envs/torch.yaml"
    threads: lambda wc: PLAN.run(wc.run).devices * PLAN.run(wc.run).threads
    resources:
        gpu=lambda wc: PLAN.run(wc.run).devices,
        mem_mb=grow(lambda wc: PLAN.run(wc.run).devices * 16000),
        runtime=1440,  # a run goes on from its checkpoint
        root=lambda wc: PLAN.images_root(PLAN.run(wc.run).images),
        devices=lambda wc: PLAN.run(wc.run).devices,
        nodes=1,
        launch="",
    params:
        recipe=lambda wc: PLAN.train_recipe(wc.run),
        monitor=lambda wc: PLAN.monitor_recipe(),
        code=lambda wc: PLAN.code(
            "pretrain.train",
            "torch",
            "pretrain.methods",
            [PLAN.run(wc.run).method],
            encoder=PLAN.run(wc.run).encoder,
            backend=PLAN.run(wc.run).augmentation_backend,
        ),
    shell:
        "{resources.launch} python -m scripts.pretrain.train --code={params.code:q} --recipe {params.recipe:q}"
        " --shards {input.shards}"
        " --indexes {input.indexes} --root={resources.root:q} --devices {resources.devices} --nodes {resources.nodes}"
        " --threads {threads} --encoder {output.encoder} --untrained {output.untrained} --head {output.head}"
        " --metrics {output.metrics} --cost {output.cost}"
        " --monitor {output.monitor} --trace {output.trace} --views {output.views} --monitor-recipe={params.monitor:q}"
        " --monitor-sample={input.monitor_sample:q} --watch-folder logs/pretrain/train/{wildcards.run} --log {log}"


# The same on several nodes: SLURM starts one process for each GPU, and gives each its own `threads`.
use rule train as train_on_nodes with:
    wildcard_constraints:
        run=PLAN.runs_on(several_nodes=True),
    threads: lambda wc: PLAN.run(wc.run).threads
    resources:
        mem_mb=grow(lambda wc: PLAN.run(wc.run).devices * 16000),
        runtime=1440,  # a run goes on from its checkpoint
        root=lambda wc: PLAN.images_root(PLAN.run(wc.run).images),
        devices=lambda wc: PLAN.run(wc.run).devices,
        nodes=lambda wc: PLAN.run(wc.run).nodes,
        gres=lambda wc: f"gpu:{PLAN.run(wc.run).devices}",
        tasks_per_node=lambda wc: PLAN.tasks_of(wc.run)["per_node"],
        tasks=lambda wc: PLAN.tasks_of(wc.run)["in_all"],
        tasks_per_gpu=0,
        mpi="srun",
        launch=lambda wc: PLAN.launch(wc.run),


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
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        recipe=lambda wc: PLAN.train_recipe(wc.run),
        code=lambda wc: PLAN.code("pretrain.diagnose_run", "data"),
    shell:
        "python -m scripts.pretrain.diagnose_run --code={params.code:q} --recipe {params.recipe:q} --metrics {input.metrics}"
        " --monitor {input.monitor} --out {output} > {log} 2>&1"


# Metadata and leak rate are of the shards: a run on an image set has neither.
rule write_model_card:
    input:
        encoder="results/pretrain/train/{run}/encoder.safetensors",
        head="results/pretrain/train/{run}/head.safetensors",
        cost="results/pretrain/train/{run}/cost.json",
        metadata=lambda wc: PLAN.if_curated(wc.run, ["results/shard/write_metadata/metadata.parquet"]),
        leak_rate=lambda wc: PLAN.if_curated(wc.run, PLAN.leak_rate),
    output:
        shown(
            "results/pretrain/write_model_card/{run}.md", "Cards", "write_model_card", shows="model card", run="{run}"
        ),
    log:
        "logs/pretrain/write_model_card/{run}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(30),
    params:
        recipe=lambda wc: PLAN.write_model_card_recipe(wc.run),
        code=lambda wc: PLAN.code("pretrain.write_model_card", "data"),
    shell:
        "python -m scripts.pretrain.write_model_card --code={params.code:q} --recipe {params.recipe:q} --encoder {input.encoder} --head {input.head}"
        " --cost {input.cost} --metadata={input.metadata:q} --leak-rate={input.leak_rate:q} --out {output} > {log} 2>&1"
