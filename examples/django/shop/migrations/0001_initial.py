from django.db import migrations, models


def add_products(apps, schema_editor):
    product = apps.get_model("shop", "Product")
    for name in ("hat", "coat", "boots"):
        product.objects.using(schema_editor.connection.alias).create(name=name)


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False,
                                           verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
            ],
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False,
                                           verbose_name="ID")),
                ("confirmed_by", models.CharField(default="nobody yet", max_length=80)),
            ],
        ),
        migrations.RunPython(add_products, migrations.RunPython.noop),
    ]
